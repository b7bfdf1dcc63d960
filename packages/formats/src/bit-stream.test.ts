import { atOnce } from '@fewbit/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packedWords, packRows, unpackRows } from './bit-stream.js';

const widths = [2, 3, 4, 5, 6, 7, 8];

test.each(widths)('codes of %d bits come back, in rows that end with a word and in ragged ones', (bits) => {
  const property = fc.property(fc.nat(5), fc.nat(70), fc.integer({ min: 0, max: 2 ** 31 - 1 }), (rows, cols, seed) => {
    const codes = Uint8Array.from({ length: rows * cols }, (_, i) => (Math.imul(i + 1, seed | 1) >>> 11) & (2 ** bits - 1));
    expect(atOnce(unpackRows(packRows(codes, rows, cols, bits), rows, cols, bits))).toEqual(codes);
  });
  fc.assert(property, {
    examples: [
      [3, 32, 0x2545f491],
      [2, 64, 0x9e3779b1],
    ],
  });
});

test.each(widths)('code k of %d bits lies at bit k·bits of its row', (bits) => {
  const [rows, cols] = [2, 32];
  const words = Uint32Array.from({ length: rows * packedWords(cols, bits) }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
  const codes = atOnce(unpackRows(words, rows, cols, bits));
  for (let row = 0; row < rows; row++) {
    const stream = words.subarray(row * bits, (row + 1) * bits).reduce((sum, word, i) => sum | (BigInt(word) << BigInt(32 * i)), 0n);
    for (let k = 0; k < cols; k++) expect(codes[row * cols + k]).toBe(Number((stream >> BigInt(k * bits)) & BigInt(2 ** bits - 1)));
  }
});
