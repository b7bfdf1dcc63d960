/**
 * `int-quantized`, symmetric integers in bytes, N rows (outputs), K columns (inputs):
 *
 *   weight        I8 [N, K]       code − 2^(bits − 1)
 *   weight_scale  float [N, G] per group, [N, 1] per channel, [1] per tensor
 */
import { FewbitError, findInStrips, fromIntegers, type Pausable, type Tensor } from '@fewbit/core';
import { expectTensor } from '../expect-tensor.js';
import { formatName } from '../format-name.js';
import { isSymmetric } from '../int/int-format.js';
import { gridOf, type IntMatrix, intParams, packScales, unpackScales } from '../int-matrix.js';
import type { IntSpec } from '../types.js';

export function packBytes({ rows, cols, spec, codes, params }: IntMatrix): Map<string, Tensor> {
  const middle = 2 ** (spec.bits - 1);
  const bytes = Int8Array.from(codes, (code) => code - middle);
  return new Map([
    ['weight', fromIntegers(bytes, [rows, cols])],
    ['weight_scale', packScales(params, spec.scaleType, scaleShape(spec, rows, cols))],
  ]);
}

export function* unpackBytes(tensors: ReadonlyMap<string, Tensor>, spec: IntSpec, rows: number, cols: number): Pausable<IntMatrix> {
  if (!isSymmetric(spec.scheme)) {
    throw new FewbitError('checkpoint', `Tensor weight stands where ${formatName(spec)} is stored as weight_packed.`);
  }
  const { data } = expectTensor(tensors, 'weight', ['I8'], [rows, cols]);
  const middle = 2 ** (spec.bits - 1);
  const codes = new Uint8Array(data.length);
  const wide = yield* findInStrips(codes.length, (start, end) => {
    for (let i = start; i < end; i++) {
      codes[i] = data[i]! + middle;
      if (codes[i]! >= 2 * middle) return i - start;
    }
    return -1;
  });
  if (wide !== -1) {
    throw new FewbitError('checkpoint', `Tensor weight holds ${(data[wide]! << 24) >> 24} at ${wide}: expected ${spec.bits} bits.`);
  }
  const { scales, stored } = yield* unpackScales(tensors, 'weight_scale', spec, scaleShape(spec, rows, cols));
  return { rows, cols, spec: stored, codes, params: intParams(scales, middle) };
}

function scaleShape(spec: IntSpec, rows: number, cols: number): number[] {
  return spec.granularity.kind === 'tensor' ? [1] : [rows, gridOf(spec, rows, cols).across];
}
