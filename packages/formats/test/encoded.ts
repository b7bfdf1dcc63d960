import { random } from '@fewbit/core';
import { createFormat, encodeMatrix, type FormatSpec, type QuantizedMatrix } from '../src/index.js';

/** Normal values, rounded. */
export function encoded(
  spec: FormatSpec,
  rows: number,
  cols: number,
  seed: number,
): QuantizedMatrix & { readonly params: readonly unknown[] } {
  const { normal } = random(seed);
  return encodeMatrix({ rows, cols, data: Float32Array.from({ length: rows * cols }, () => normal()) }, createFormat(spec));
}
