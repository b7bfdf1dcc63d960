import { inStrips, type Pausable } from '@fewbit/core';

/**
 * The dense bit stream: code k of `bits` bits lies at bits k·bits … of little-endian 32-bit words, low bits first, and may straddle two of them.
 *
 *   3 bits: | 2 1 0 | 2 1 0 | … word 0, bits 30–31: low two bits of code 10 | word 1, bit 0: its high bit …
 */

/** Words that `count` codes take. */
export function packedWords(count: number, bits: number): number {
  return Math.ceil((count * bits) / 32);
}

/** Every row of `codes` [rows, cols] as a bit stream of its own → [rows, packedWords(cols, bits)]. */
export function packRows(codes: Uint8Array, rows: number, cols: number, bits: number): Uint32Array {
  const width = packedWords(cols, bits);
  const words = new Uint32Array(rows * width);
  for (let i = 0; i < rows; i++) packBits(codes, i * cols, cols, bits, words, i * width);
  return words;
}

/** The inverse of `packRows`. */
export function* unpackRows(words: Uint32Array, rows: number, cols: number, bits: number): Pausable<Uint8Array> {
  const codes = new Uint8Array(rows * cols);
  const width = packedWords(cols, bits);
  yield* inStrips(rows, cols, (first, end) => {
    unpackStrip(words.subarray(first * width, end * width), end - first, cols, bits, codes.subarray(first * cols, end * cols));
  });
  return codes;
}

function unpackStrip(words: Uint32Array, rows: number, cols: number, bits: number, codes: Uint8Array): void {
  const width = packedWords(cols, bits);
  const isOneStream = width * 32 === cols * bits;
  if (isOneStream && bits === 8) codes.set(new Uint8Array(words.buffer, words.byteOffset, codes.length));
  else if (isOneStream && (bits === 2 || bits === 4)) unpackBytes(words, bits, codes);
  else if (isOneStream) unpackBits(words, 0, codes.length, bits, codes, 0);
  else for (let i = 0; i < rows; i++) unpackBits(words, i * width, cols, bits, codes, i * cols);
}

/** Writes `count` codes from `codes[from]` on to `words[at]` on. */
function packBits(codes: Uint8Array, from: number, count: number, bits: number, words: Uint32Array, at: number): void {
  let word = 0;
  let filled = 0;
  for (let i = from, to = at; i < from + count; i++) {
    const code = codes[i]!;
    word |= code << filled;
    filled += bits;
    if (filled >= 32) {
      words[to++] = word;
      filled -= 32;
      word = code >>> (bits - filled); // 0 where nothing is left over
    }
    if (i === from + count - 1 && filled > 0) words[to] = word;
  }
}

/** Reads `count` codes from `words[at]` on to `codes[from]` on. */
function unpackBits(words: Uint32Array, at: number, count: number, bits: number, codes: Uint8Array, from: number): void {
  const mask = (1 << bits) - 1;
  let word = 0;
  let left = 0; // bits of `word` that are still to be read
  for (let i = from, next = at; i < from + count; i++) {
    if (left >= bits) {
      codes[i] = word & mask;
      word >>>= bits;
      left -= bits;
    } else {
      const following = words[next++]!;
      codes[i] = (word | (following << left)) & mask;
      word = following >>> (bits - left);
      left += 32 - bits;
    }
  }
}

/** Reads codes of 2 or 4 bits, all that a byte holds at once. */
function unpackBytes({ buffer, byteOffset, byteLength }: Uint32Array, bits: number, codes: Uint8Array): void {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  const perByte = 8 / bits;
  const held = new Uint8Array(256 * perByte);
  for (let i = 0; i < held.length; i++) held[i] = (Math.floor(i / perByte) >> (bits * (i % perByte))) & ((1 << bits) - 1);
  const Unit = perByte === 2 ? Uint16Array : Uint32Array;
  const from = new Unit(held.buffer);
  const to = new Unit(codes.buffer as ArrayBuffer, codes.byteOffset, codes.length / perByte);
  for (let i = 0; i < bytes.length; i++) to[i] = from[bytes[i]!]!;
}
