/**
 * GPTQ's tensors, codes of 2, 3, 4, 8 bits, N rows (outputs), K columns (inputs), G groups (1 per channel):
 *
 *   qweight  I32 [⌈K·bits/32⌉, N]  codes, bit stream along K, transposed
 *   qzeros   I32 [G, ⌈N·bits/32⌉]  zero points, bit stream along N; version 1 stores z − 1, modulo 2^bits
 *   scales   float [G, N]
 *   g_idx    I32 [K]               group of each column
 *
 * Source: AutoGPTQ, qlinear_cuda_old.py; GPTQModel, nn_modules/qlinear.
 */
import { fromFloat32, fromIntegers, inStrips, type Pausable, type Tensor } from '@fewbit/core';
import { packedWords, packRows, unpackRows } from '../bit-stream.js';
import { expectTensor, wordsOf } from '../expect-tensor.js';
import { isSymmetric } from '../int/int-format.js';
import { gridOf, type IntMatrix, intParams, scalesOf, unpackColumnGroup, unpackScales, zerosOf } from '../int-matrix.js';
import { transposed, transposedInStrips } from '../transposed.js';
import type { IntSpec } from '../types.js';
import { expectMiddle } from '../zero-points.js';

/** Version 1 stores zero points less 1. */
export type Version = 1 | 2;

export function packTensors(matrix: IntMatrix, version: Version): Map<string, Tensor> {
  const { rows, cols, spec, codes, params } = matrix;
  const { bits } = spec;
  const { across: groups } = gridOf(spec, rows, cols);
  const zeros = zerosOf(params);
  const height = packedWords(cols, bits);
  const width = packedWords(rows, bits);
  const stored = zeros.map((zero) => zero - lessBy[version]);
  return new Map([
    ['qweight', fromIntegers(transposed(packRows(codes, rows, cols, bits), rows, height), [height, rows])],
    ['qzeros', fromIntegers(packRows(transposed(stored, rows, groups), groups, rows, bits), [groups, width])],
    ['scales', fromFloat32(transposed(scalesOf(params), rows, groups), spec.scaleType, [groups, rows])],
    ['g_idx', fromIntegers(matrix.columnGroup?.slice() ?? naturalGroups(spec, cols), [cols])],
  ]);
}

export function* unpackTensors(
  tensors: ReadonlyMap<string, Tensor>,
  spec: IntSpec,
  rows: number,
  cols: number,
  version: Version,
): Pausable<IntMatrix> {
  const { bits } = spec;
  const { across: groups } = gridOf(spec, rows, cols);
  const height = packedWords(cols, bits);
  const words = wordsOf(expectTensor(tensors, 'qweight', ['I32'], [height, rows]));
  const codes = yield* unpackRows(yield* transposedInStrips(words, height, rows), rows, cols, bits);
  const packedZeros = wordsOf(expectTensor(tensors, 'qzeros', ['I32'], [groups, packedWords(rows, bits)]));
  const mask = 2 ** bits - 1;
  const zeros = yield* transposedInStrips(yield* unpackRows(packedZeros, groups, rows, bits), groups, rows);
  yield* inStrips(zeros.length, 1, (start, end) => {
    for (let i = start; i < end; i++) zeros[i] = (zeros[i]! + lessBy[version]) & mask;
  });
  if (isSymmetric(spec.scheme)) expectMiddle('qzeros', zeros, bits, groups);
  const { scales, stored } = yield* unpackScales(tensors, 'scales', spec, [groups, rows]);
  const params = intParams(yield* transposedInStrips(scales, groups, rows), zeros);
  const matrix = { rows, cols, spec: stored, codes, params };
  if (!tensors.has('g_idx')) return matrix;
  const columnGroup = unpackColumnGroup(tensors, 'g_idx', cols, groups);
  const natural = naturalGroups(spec, cols);
  return columnGroup.every((group, column) => group === natural[column]) ? matrix : { ...matrix, columnGroup };
}

const lessBy = { 1: 1, 2: 0 } as const;

function naturalGroups({ granularity }: IntSpec, cols: number): Uint32Array {
  const size = granularity.kind === 'group' ? granularity.size : cols;
  return Uint32Array.from({ length: cols }, (_, column) => Math.floor(column / size));
}
