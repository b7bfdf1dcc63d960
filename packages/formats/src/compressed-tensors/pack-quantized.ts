/**
 * `pack-quantized`, codes of 2–8 bits, N rows (outputs), K columns (inputs), G groups (1 per channel):
 *
 *   weight_packed      I32 [N, ⌈K·bits/32⌉]  codes, bit stream along K
 *   weight_scale       float [N, G]
 *   weight_shape       I64 [2]               N, K
 *   weight_zero_point  I32 [⌈N·bits/32⌉, G]  zero points, bit stream along N; asymmetric only
 *   weight_g_idx       I32 [K]               group of each column, where that is not column ÷ size
 */
import { FewbitError, fromIntegers, type Pausable, type Tensor } from '@fewbit/core';
import { packedWords, packRows, unpackRows } from '../bit-stream.js';
import { expectTensor, wordsOf } from '../expect-tensor.js';
import { type IntParams, isSymmetric } from '../int/int-format.js';
import { gridOf, type IntMatrix, intParams, packScales, unpackColumnGroup, unpackScales, zerosOf } from '../int-matrix.js';
import type { ParamList } from '../param-list.js';
import { transposed, transposedInStrips } from '../transposed.js';
import type { IntSpec } from '../types.js';

export function packWords(matrix: IntMatrix): Map<string, Tensor> {
  const { rows, cols, spec, codes, params, columnGroup } = matrix;
  const groups = gridOf(spec, rows, cols).across;
  const tensors = new Map([
    ['weight_packed', fromIntegers(packRows(codes, rows, cols, spec.bits), [rows, packedWords(cols, spec.bits)])],
    ['weight_scale', packScales(params, spec.scaleType, [rows, groups])],
    ['weight_shape', fromIntegers(BigInt64Array.of(BigInt(rows), BigInt(cols)), [2])],
  ]);
  if (!isSymmetric(spec.scheme)) tensors.set('weight_zero_point', packZeros(params, spec.bits, rows, groups));
  if (columnGroup) tensors.set('weight_g_idx', fromIntegers(columnGroup.slice(), [cols]));
  return tensors;
}

export function* unpackWords(tensors: ReadonlyMap<string, Tensor>, spec: IntSpec, rows: number, cols: number): Pausable<IntMatrix> {
  const groups = gridOf(spec, rows, cols).across;
  const words = wordsOf(expectTensor(tensors, 'weight_packed', ['I32'], [rows, packedWords(cols, spec.bits)]));
  expectShape(tensors, rows, cols);
  const codes = yield* unpackRows(words, rows, cols, spec.bits);
  const { scales, stored } = yield* unpackScales(tensors, 'weight_scale', spec, [rows, groups]);
  const zeros = isSymmetric(spec.scheme) ? 2 ** (spec.bits - 1) : yield* unpackZeros(tensors, spec.bits, rows, groups);
  const matrix = { rows, cols, spec: stored, codes, params: intParams(scales, zeros) };
  if (!tensors.has('weight_g_idx')) return matrix;
  if (spec.granularity.kind !== 'group') {
    throw new FewbitError('checkpoint', `Tensor weight_g_idx stands beside ${spec.granularity.kind} granularity: expected none.`);
  }
  return { ...matrix, columnGroup: unpackColumnGroup(tensors, 'weight_g_idx', cols, groups) };
}

function expectShape(tensors: ReadonlyMap<string, Tensor>, rows: number, cols: number): void {
  const { data } = expectTensor(tensors, 'weight_shape', ['I64'], [2]);
  const [n, k] = new BigInt64Array(new Uint8Array(data).buffer);
  if (n !== BigInt(rows) || k !== BigInt(cols)) {
    throw new FewbitError('checkpoint', `Tensor weight_shape says ${n} × ${k}: expected ${rows} × ${cols}.`);
  }
}

function packZeros(params: ParamList<IntParams>, bits: number, rows: number, groups: number): Tensor {
  const height = packedWords(rows, bits);
  const words = packRows(transposed(zerosOf(params), rows, groups), groups, rows, bits);
  return fromIntegers(transposed(words, groups, height), [height, groups]);
}

function* unpackZeros(tensors: ReadonlyMap<string, Tensor>, bits: number, rows: number, groups: number): Pausable<Uint8Array> {
  const height = packedWords(rows, bits);
  const words = wordsOf(expectTensor(tensors, 'weight_zero_point', ['I32'], [height, groups]));
  const codes = yield* unpackRows(yield* transposedInStrips(words, height, groups), groups, rows, bits);
  return yield* transposedInStrips(codes, groups, rows);
}
