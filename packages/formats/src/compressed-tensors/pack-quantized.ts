/**
 * `pack-quantized`, codes of 2–8 bits, N rows (outputs), K columns (inputs), G groups (1 per channel):
 *
 *   weight_packed      I32 [N, ⌈K·bits/32⌉]  codes, bit stream along K
 *   weight_scale       float [N, G]
 *   weight_shape       I64 [2]               N, K
 *   weight_zero_point  I32 [⌈N·bits/32⌉, G]  zero points, bit stream along N; asymmetric only
 *   weight_g_idx       I32 [K]               group of each column, where that is not column ÷ size
 */
import { FewbitError, fromIntegers, type Tensor } from '@fewbit/core';
import { type IntParams, isSymmetric } from '../int/int-format.js';
import type { IntSpec } from '../types.js';
import { packBits, packedWords, unpackBits } from './bit-stream.js';
import { expectTensor, wordsOf } from './expect-tensor.js';
import { gridOf, type IntMatrix, packScales, unpackScales } from './int-matrix.js';

export function packWords(matrix: IntMatrix): Map<string, Tensor> {
  const { rows, cols, spec, codes, params, columnGroup } = matrix;
  const groups = gridOf(spec, rows, cols).across;
  const width = packedWords(cols, spec.bits);
  const words = new Uint32Array(rows * width);
  for (let i = 0; i < rows; i++) packBits(codes, i * cols, cols, spec.bits, words, i * width);
  const tensors = new Map([
    ['weight_packed', fromIntegers(words, [rows, width])],
    ['weight_scale', packScales(params, spec.scaleType, [rows, groups])],
    ['weight_shape', fromIntegers(BigInt64Array.of(BigInt(rows), BigInt(cols)), [2])],
  ]);
  if (!isSymmetric(spec.scheme)) tensors.set('weight_zero_point', packZeros(params, spec.bits, rows, groups));
  if (columnGroup) tensors.set('weight_g_idx', fromIntegers(columnGroup.slice(), [cols]));
  return tensors;
}

export function unpackWords(tensors: ReadonlyMap<string, Tensor>, spec: IntSpec, rows: number, cols: number): IntMatrix {
  const groups = gridOf(spec, rows, cols).across;
  const width = packedWords(cols, spec.bits);
  const words = wordsOf(expectTensor(tensors, 'weight_packed', ['I32'], [rows, width]));
  expectShape(tensors, rows, cols);
  const codes = new Uint8Array(rows * cols);
  for (let i = 0; i < rows; i++) unpackBits(words, i * width, cols, spec.bits, codes, i * cols);
  const { scales, stored } = unpackScales(tensors, spec, [rows, groups]);
  const zeros = isSymmetric(spec.scheme) ? undefined : unpackZeros(tensors, spec.bits, rows, groups);
  const params = Array.from(scales, (scale, i): IntParams => ({ scale, zero: zeros ? zeros[i]! : 2 ** (spec.bits - 1) }));
  const matrix = { rows, cols, spec: stored, codes, params };
  return tensors.has('weight_g_idx') ? { ...matrix, columnGroup: unpackColumnGroup(tensors, spec, cols, groups) } : matrix;
}

function expectShape(tensors: ReadonlyMap<string, Tensor>, rows: number, cols: number): void {
  const { data } = expectTensor(tensors, 'weight_shape', ['I64'], [2]);
  const [n, k] = new BigInt64Array(new Uint8Array(data).buffer);
  if (n !== BigInt(rows) || k !== BigInt(cols)) {
    throw new FewbitError('checkpoint', `Tensor weight_shape says ${n} × ${k}: expected ${rows} × ${cols}.`);
  }
}

function packZeros(params: readonly IntParams[], bits: number, rows: number, groups: number): Tensor {
  const height = packedWords(rows, bits);
  const words = new Uint32Array(height * groups);
  const zeros = new Uint8Array(rows);
  const column = new Uint32Array(height);
  for (let g = 0; g < groups; g++) {
    for (let i = 0; i < rows; i++) zeros[i] = params[i * groups + g]!.zero;
    packBits(zeros, 0, rows, bits, column, 0);
    for (let i = 0; i < height; i++) words[i * groups + g] = column[i]!;
  }
  return fromIntegers(words, [height, groups]);
}

function unpackZeros(tensors: ReadonlyMap<string, Tensor>, bits: number, rows: number, groups: number): Uint8Array {
  const height = packedWords(rows, bits);
  const words = wordsOf(expectTensor(tensors, 'weight_zero_point', ['I32'], [height, groups]));
  const zeros = new Uint8Array(rows * groups);
  const column = new Uint32Array(height);
  const unpacked = new Uint8Array(rows);
  for (let g = 0; g < groups; g++) {
    for (let i = 0; i < height; i++) column[i] = words[i * groups + g]!;
    unpackBits(column, 0, rows, bits, unpacked, 0);
    for (let i = 0; i < rows; i++) zeros[i * groups + g] = unpacked[i]!;
  }
  return zeros;
}

function unpackColumnGroup(tensors: ReadonlyMap<string, Tensor>, spec: IntSpec, cols: number, groups: number): Uint32Array {
  if (spec.granularity.kind !== 'group') {
    throw new FewbitError('checkpoint', `Tensor weight_g_idx stands beside ${spec.granularity.kind} granularity: expected none.`);
  }
  const columnGroup = wordsOf(expectTensor(tensors, 'weight_g_idx', ['I32'], [cols])).slice();
  const bad = columnGroup.findIndex((group) => group >= groups);
  if (bad !== -1) {
    throw new FewbitError('checkpoint', `Tensor weight_g_idx holds ${columnGroup[bad]! | 0} at ${bad}: expected 0 … ${groups - 1}.`);
  }
  return columnGroup;
}
