import { inStrips, type Pausable } from '@fewbit/core';

/** Two codes a byte, every row [cols] by itself → [rows, ⌈cols/2⌉]; the first in the low nibble. */
export function packNibbles(codes: Uint8Array, rows: number, cols: number): Uint8Array {
  const width = Math.ceil(cols / 2);
  const bytes = new Uint8Array(rows * width);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) bytes[i * width + (j >> 1)]! |= codes[i * cols + j]! << (4 * (j & 1));
  }
  return bytes;
}

/** The inverse of `packNibbles`. */
export function* unpackNibbles(bytes: Uint8Array, rows: number, cols: number): Pausable<Uint8Array> {
  const width = Math.ceil(cols / 2);
  const codes = new Uint8Array(rows * cols);
  yield* inStrips(rows, cols, (first, end) => {
    for (let i = first; i < end; i++) {
      for (let j = 0; j < cols; j++) codes[i * cols + j] = (bytes[i * width + (j >> 1)]! >> (4 * (j & 1))) & 15;
    }
  });
  return codes;
}
