import { random } from '@fewbit/core';
import type { OnnxNode, OnnxTensor } from './onnx-file.js';

/** How onnxruntime keeps weights: bits of a code and inputs that share a scale, or float32. */
export interface OnnxFormat {
  readonly bits: 4 | 8 | 32;
  readonly group: number;
}

/** The format of onnxruntime like one of ours, or why there is none. */
export function onnxFormat(format: string, group: number | null): OnnxFormat | { readonly unavailable: string } {
  if (format === 'f32') return { bits: 32, group: 1 };
  const bits = ({ int4: 4, int8: 8 } as const)[format];
  if (!bits) return { unavailable: `onnxruntime has no product like ${format}` };
  if (group === null || group < 16 || (group & (group - 1)) !== 0) {
    return { unavailable: `onnxruntime's groups are powers of two from 16, not ${group ?? 'whole channels'}` };
  }
  return { bits, group };
}

/** For tables; int8 activations are the fastest that MatMulNBits has. */
export const onnxTypeName = ({ bits, group }: OnnxFormat) =>
  bits === 32 ? 'MatMul' : `MatMulNBits ${bits}-bit g${group}, int8 activations`;

/** A product `output` = `input` · wᵀ of random weights [n, k]: its node and its initializers. */
export function onnxProduct(
  { bits, group }: OnnxFormat,
  { input, output, k, n, seed }: { input: string; output: string; k: number; n: number; seed: number },
): { node: OnnxNode; initializers: OnnxTensor[] } {
  const name = `${output}.weight`;
  if (bits === 32) {
    return { node: { op: 'MatMul', inputs: [input, name], outputs: [output] }, initializers: [randomFloats(name, [k, n], seed)] };
  }
  const groups = Math.ceil(k / group);
  const codes = randomBytes(name, [n, groups, (group * bits) / 8], seed);
  const scales = randomFloats(`${name}.scales`, [n * groups], seed);
  const attributes = { K: k, N: n, bits, block_size: group, accuracy_level: 4 };
  return { node: { op: 'MatMulNBits', inputs: [input, name, scales.name], outputs: [output], attributes }, initializers: [codes, scales] };
}

function randomBytes(name: string, dims: readonly number[], seed: number): OnnxTensor {
  const { below } = random(seed);
  const block = Uint8Array.from({ length: 65536 }, () => below(256));
  return { name, dims, data: repeated(block, new Uint8Array(count(dims))) };
}

export function randomFloats(name: string, dims: readonly number[], seed: number): OnnxTensor {
  const { uniform } = random(seed);
  const block = Float32Array.from({ length: 65536 }, () => 0.002 * uniform());
  return { name, dims, data: repeated(block, new Float32Array(count(dims))) };
}

const count = (dims: readonly number[]) => dims.reduce((product, size) => product * size, 1);

/** Speed does not depend on values: a block of them is drawn. */
function repeated<T extends Uint8Array | Float32Array>(block: T, out: T): T {
  for (let at = 0; at < out.length; at += block.length) out.set(block.subarray(0, out.length - at), at);
  return out;
}
