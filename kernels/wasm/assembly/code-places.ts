// Where the codes of one width stand in the words of a row's chunk: the rule, for packing and for what takes one width as the other. A word has 32 bits, in its
// low half even inputs and in its high half odd ones: two inputs that follow each other, a pair, are at the same place of both. A half, highest bits first:
//
//   2 bits  7‥6‥5‥4‥3‥2‥1‥0‥       4 bits  3‥‥‥2‥‥‥1‥‥‥0‥‥‥       8 bits  1‥‥‥‥‥‥‥0‥‥‥‥‥‥‥
//   3 bits  ··3‥‥2‥‥··1‥‥0‥‥       5 bits  2‥‥‥‥·1‥‥‥‥0‥‥‥‥       6 bits  1‥‥‥‥‥0‥‥‥‥‥····
//
// Bits that are left (·) are parts of further words. Three words make one (of 5 bits: five words make one of a single pair), whose codes follow those of all words
// that are whole. From the first part to the last: of 3 bits, two bits of each byte, lowest first; of 5, a bit, lowest first; of 6, four bits, highest first.

import { blockRows } from '../src/control';

/** Bytes from a word of a block to the next one. */
export const wordBytes: usize = blockRows * 4;

const spare3 = memory.data<i32>([0xc0c0c0c0, 0xc0c0c0c0, 0xc0c0c0c0, 0xc0c0c0c0], 16);

/** Pairs of inputs that a word has whole. */
export function pairsOf(bits: i32): i32 {
  return bits === 3 ? 4 : 16 / bits;
}

/** Words in whose spare bits a further word stands; 0 where none have any. */
export function partsOf(bits: i32): i32 {
  return bits === 5 ? 5 : bits === 3 || bits === 6 ? 3 : 0;
}

/** Pairs of a further word. */
export function furtherPairs(bits: i32): i32 {
  return bits === 5 ? 1 : pairsOf(bits);
}

/** Where the codes of a word's pair stand in each half of it. */
export function placeOf(bits: i32, pair: i32): i32 {
  if (bits === 3) return (pair >> 1) * 8 + (pair & 1) * 3;
  if (bits === 5) return pair * 5 + (pair >> 1);
  return bits === 6 ? 4 + pair * 6 : pair * bits;
}

/** The spare bits of a word, moved down by `spareAt`. */
export function spareMask(bits: i32): u32 {
  return bits === 3 ? 0x03030303 : bits === 5 ? 0x00010001 : 0x000f000f;
}

export function spareAt(bits: i32): i32 {
  return bits === 3 ? 6 : bits === 5 ? 10 : 0;
}

/** Where they belong in the further word whose part `part` they are. */
export function furtherAt(bits: i32, part: i32): i32 {
  return bits === 3 ? 2 * part : bits === 5 ? part : 12 - 4 * part;
}

/** The further word of four rows whose first part is at `at`. */
export function furtherWord(bits: i32, at: usize): v128 {
  const mask = i32x4.splat(spareMask(bits));
  let word = i32x4.splat(0);
  for (let part = 0; part < partsOf(bits); part++, at += wordBytes) {
    word = v128.or(word, i16x8.shl(v128.and(i16x8.shr_u(v128.load(at), spareAt(bits)), mask), furtherAt(bits, part)));
  }
  return word;
}

/** The same of 3 bits. */
export function further3(at: usize): v128 {
  const spare = v128.load(spare3);
  const first = i16x8.shr_u(v128.and(v128.load(at), spare), 6);
  const second = i16x8.shr_u(v128.and(v128.load(at + wordBytes), spare), 4);
  const third = i16x8.shr_u(v128.and(v128.load(at + 2 * wordBytes), spare), 2);
  return v128.or(v128.or(first, second), third);
}
