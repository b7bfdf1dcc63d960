/**
 * `int-quantized`, symmetric int8, N rows (outputs), K columns (inputs):
 *
 *   weight        I8 [N, K]       code − 128
 *   weight_scale  float [N, 1] per channel, [1] per tensor
 */
import { FewbitError, fromIntegers, type Tensor } from '@fewbit/core';
import { expectTensor } from '../expect-tensor.js';
import { formatName } from '../format-name.js';
import { type IntParams, isSymmetric } from '../int/int-format.js';
import { type IntMatrix, packScales, unpackScales } from '../int-matrix.js';
import type { IntSpec } from '../types.js';

export function packBytes({ rows, cols, spec, codes, params }: IntMatrix): Map<string, Tensor> {
  return new Map([
    [
      'weight',
      fromIntegers(
        Int8Array.from(codes, (code) => code - 128),
        [rows, cols],
      ),
    ],
    ['weight_scale', packScales(params, spec.scaleType, scaleShape(spec, rows))],
  ]);
}

export function unpackBytes(tensors: ReadonlyMap<string, Tensor>, spec: IntSpec, rows: number, cols: number): IntMatrix {
  const { kind } = spec.granularity;
  if (spec.bits !== 8 || !isSymmetric(spec.scheme) || (kind !== 'tensor' && kind !== 'channel')) {
    throw new FewbitError('checkpoint', `Tensor weight stands where ${formatName(spec)} is stored as weight_packed.`);
  }
  const { data } = expectTensor(tensors, 'weight', ['I8'], [rows, cols]);
  const codes = Uint8Array.from(data, (byte) => byte ^ 0x80); // two's complement + 128
  const { scales, stored } = unpackScales(tensors, 'weight_scale', spec, scaleShape(spec, rows));
  return { rows, cols, spec: stored, codes, params: Array.from(scales, (scale): IntParams => ({ scale, zero: 128 })) };
}

function scaleShape(spec: IntSpec, rows: number): number[] {
  return spec.granularity.kind === 'tensor' ? [1] : [rows, 1];
}
