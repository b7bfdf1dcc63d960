/**
 * AWQ's tensors in the GEMM version, 4 bits, N rows (outputs), K columns (inputs), G groups (1 per channel):
 *
 *   qweight  I32 [K, N/8]  eight outputs a word, in the order of `order`: nibble i holds output 8c + order[i]
 *   qzeros   I32 [G, N/8]  zero points as they are, in the same order
 *   scales   float [G, N]
 *
 * Source: AutoAWQ, modules/linear/gemm.py and utils/packing_utils.py.
 */
import { fromFloat32, fromIntegers, inStrips, type Pausable, type Tensor } from '@fewbit/core';
import { expectTensor, wordsOf } from '../expect-tensor.js';
import { isSymmetric } from '../int/int-format.js';
import { gridOf, type IntMatrix, intParams, scalesOf, unpackScales, zerosOf } from '../int-matrix.js';
import { transposed, transposedInStrips } from '../transposed.js';
import type { IntSpec } from '../types.js';
import { expectMiddle } from '../zero-points.js';

const order = [0, 2, 4, 6, 1, 3, 5, 7] as const;

export function packTensors({ rows, cols, spec, codes, params }: IntMatrix): Map<string, Tensor> {
  const { across: groups } = gridOf(spec, rows, cols);
  return new Map([
    ['qweight', fromIntegers(interleave(transposed(codes, rows, cols)), [cols, rows / 8])],
    ['qzeros', fromIntegers(interleave(transposed(zerosOf(params), rows, groups)), [groups, rows / 8])],
    ['scales', fromFloat32(transposed(scalesOf(params), rows, groups), spec.scaleType, [groups, rows])],
  ]);
}

export function* unpackTensors(tensors: ReadonlyMap<string, Tensor>, spec: IntSpec, rows: number, cols: number): Pausable<IntMatrix> {
  const { across: groups } = gridOf(spec, rows, cols);
  const words = wordsOf(expectTensor(tensors, 'qweight', ['I32'], [cols, rows / 8]));
  const codes = yield* transposedInStrips(yield* separate(words), cols, rows);
  const packedZeros = wordsOf(expectTensor(tensors, 'qzeros', ['I32'], [groups, rows / 8]));
  const zeros = yield* transposedInStrips(yield* separate(packedZeros), groups, rows);
  if (isSymmetric(spec.scheme)) expectMiddle('qzeros', zeros, spec.bits, groups);
  const { scales, stored } = yield* unpackScales(tensors, 'scales', spec, [groups, rows]);
  const params = intParams(yield* transposedInStrips(scales, groups, rows), zeros);
  return { rows, cols, spec: stored, codes, params };
}

/** Eight values of 4 bits a word. */
function interleave(values: Uint8Array): Uint32Array {
  const words = new Uint32Array(values.length / 8);
  for (let i = 0; i < words.length; i++) {
    let word = 0;
    for (let nibble = 0; nibble < 8; nibble++) word |= values[8 * i + order[nibble]!]! << (4 * nibble);
    words[i] = word;
  }
  return words;
}

function* separate(words: Uint32Array): Pausable<Uint8Array> {
  const values = new Uint8Array(words.length * 8);
  yield* inStrips(words.length, 8, (start, end) => {
    for (let i = start; i < end; i++) {
      for (let nibble = 0; nibble < 8; nibble++) values[8 * i + order[nibble]!] = (words[i]! >>> (4 * nibble)) & 15;
    }
  });
  return values;
}
