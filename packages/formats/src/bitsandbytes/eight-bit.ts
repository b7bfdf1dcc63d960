/**
 * The tensors of LLM.int8() (Dettmers et al. 2022), N rows (outputs), K columns (inputs):
 *
 *   weight         I8 [N, K]  code − 128
 *   SCB            F32 [N]    absmax of the row; a weight is code·SCB/127
 *   weight_format  U8 []      0: by rows
 */
import { FewbitError, fromFloat32, fromIntegers, inStrips, type Pausable, type Tensor, toFloat32 } from '@fewbit/core';
import { expectTensor } from '../expect-tensor.js';
import { type AbsmaxIntParams, absmaxIntParams } from '../int/absmax-int-format.js';
import type { IntSpec, QuantizedMatrix } from '../types.js';

type EightBitMatrix = QuantizedMatrix<AbsmaxIntParams, IntSpec>;

export function packEightBit({ rows, cols, codes, params }: EightBitMatrix): Map<string, Tensor> {
  const bytes = Int8Array.from(codes, (code) => code - 128);
  const absmaxes = Float32Array.from(params, ({ absmax }) => absmax);
  return new Map<string, Tensor>([
    ['weight', fromIntegers(bytes, [rows, cols])],
    ['SCB', fromFloat32(absmaxes, 'F32', [rows])],
    ['weight_format', { dtype: 'U8', shape: [], data: new Uint8Array(1) }],
  ]);
}

export function* unpackEightBit(tensors: ReadonlyMap<string, Tensor>, spec: IntSpec, rows: number, cols: number): Pausable<EightBitMatrix> {
  const { data } = expectTensor(tensors, 'weight', ['I8'], [rows, cols]);
  const order = tensors.has('weight_format') ? expectTensor(tensors, 'weight_format', ['U8'], []).data[0] : 0;
  if (order !== 0) throw new FewbitError('unsupported', `Tensor weight_format is ${order}: only 0 (by rows) is read.`);
  const params = Array.from(toFloat32(expectTensor(tensors, 'SCB', ['F32'], [rows])), (absmax, i) => {
    if (!Number.isFinite(absmax)) throw new FewbitError('checkpoint', `Tensor SCB holds ${absmax} at ${i}: expected finite numbers.`);
    return absmaxIntParams(absmax);
  });
  const codes = new Uint8Array(data.length);
  yield* inStrips(codes.length, 1, (start, end) => {
    for (let i = start; i < end; i++) codes[i] = data[i]! ^ 0x80;
  });
  return { rows, cols, spec, codes, params };
}
