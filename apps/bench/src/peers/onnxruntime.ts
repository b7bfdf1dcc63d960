import { random } from '@fewbit/core';
import { type OnnxProducts, type OnnxTensor, onnxModel } from './onnx-file.js';
import type { MatmulPeerProbe } from './types.js';

/** The product of onnxruntime-node: MatMul for f32, MatMulNBits with int8 activations (its fastest) for int4 and int8 in groups. */
export const onnxruntime: MatmulPeerProbe = async ({ m, k, n, format, group, copies, threads }) => {
  const bits = { f32: 32, int4: 4, int8: 8 }[format];
  if (!bits) return { unavailable: `onnxruntime has no product like ${format}` };
  if (bits < 32 && (group === null || group < 16 || (group & (group - 1)) !== 0)) {
    return { unavailable: `onnxruntime's groups are powers of two from 16, not ${group ?? 'whole channels'}` };
  }
  try {
    const { InferenceSession, Tensor } = await import('onnxruntime-node');
    const products = bits === 32 ? floatProducts({ m, k, n, copies }) : bitsProducts({ m, k, n, copies, bits, group: group! });
    const session = await InferenceSession.create(onnxModel(products), {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    const { normal } = random(0);
    const tensor = (rows: number, cols: number, value: () => number) =>
      new Tensor('float32', Float32Array.from({ length: rows * cols }, value), [rows, cols]);
    const feeds = { x: tensor(m, k, normal) };
    const fetches = Object.fromEntries(products.weights.map((_, index) => [`y${index}`, tensor(m, n, () => 0)]));
    return {
      name: 'onnxruntime',
      type: bits === 32 ? 'MatMul' : `MatMulNBits ${bits}-bit g${group}, int8 activations`,
      run: () => session.run(feeds, fetches),
      close: () => session.release(),
    };
  } catch (error) {
    return { unavailable: `onnxruntime-node: ${error instanceof Error ? error.message : String(error)}` };
  }
};

interface Sizes {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly copies: number;
}

function floatProducts({ m, k, n, copies }: Sizes): OnnxProducts {
  const weights = Array.from({ length: copies }, (_, seed) => [randomFloats([k, n], seed)]);
  return { m, k, n, opType: 'MatMul', attributes: {}, weights };
}

function bitsProducts({ m, k, n, copies, bits, group }: Sizes & { bits: number; group: number }): OnnxProducts {
  const groups = Math.ceil(k / group);
  const weights = Array.from({ length: copies }, (_, seed) => [
    randomBytes([n, groups, (group * bits) / 8], seed),
    randomFloats([n * groups], seed),
  ]);
  return { m, k, n, opType: 'MatMulNBits', attributes: { K: k, N: n, bits, block_size: group, accuracy_level: 4 }, weights };
}

function randomBytes(dims: readonly number[], seed: number): OnnxTensor {
  const { below } = random(seed);
  const block = Uint8Array.from({ length: 65536 }, () => below(256));
  return { dims, data: repeat(block, new Uint8Array(count(dims))) };
}

function randomFloats(dims: readonly number[], seed: number): OnnxTensor {
  const { uniform } = random(seed);
  const block = Float32Array.from({ length: 65536 }, () => 0.01 * uniform());
  return { dims, data: repeat(block, new Float32Array(count(dims))) };
}

const count = (dims: readonly number[]) => dims.reduce((product, size) => product * size, 1);

function repeat<T extends Uint8Array | Float32Array>(block: T, out: T): T {
  for (let at = 0; at < out.length; at += block.length) out.set(block.subarray(0, out.length - at), at);
  return out;
}
