import type { QuantizedMatrix } from '../src/index.js';

/** The matrix with its params as an array, to be compared with one that was not read from a file. */
export function listed(matrix: QuantizedMatrix): QuantizedMatrix & { params: unknown[] } {
  return { ...matrix, params: [...matrix.params] };
}
