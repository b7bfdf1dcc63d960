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
export function unpackRows(words: Uint32Array, rows: number, cols: number, bits: number): Uint8Array {
  const width = packedWords(cols, bits);
  const codes = new Uint8Array(rows * cols);
  for (let i = 0; i < rows; i++) unpackBits(words, i * width, cols, bits, codes, i * cols);
  return codes;
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
  const mask = 2 ** bits - 1;
  for (let i = 0, position = 0; i < count; i++, position += bits) {
    const word = at + (position >>> 5);
    const shift = position & 31;
    const low = words[word]! >>> shift;
    codes[from + i] = (shift + bits > 32 ? low | (words[word + 1]! << (32 - shift)) : low) & mask;
  }
}
