import { FewbitError } from './error.js';

/** A dense row-major matrix; weights are [out, in], activations [tokens, features]. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array;
}

/** A zero matrix, or one over `data` (length rows × cols, not copied). */
export function matrix(rows: number, cols: number, data: Float32Array = new Float32Array(rows * cols)): Matrix {
  if (data.length !== rows * cols) {
    throw new FewbitError('usage', `A ${rows} × ${cols} matrix needs ${rows * cols} values, got ${data.length}.`);
  }
  return { rows, cols, data };
}

/** Row-major [rows, cols] → [cols, rows]. */
export function transpose({ rows, cols, data }: Matrix): Matrix {
  const out = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) out[j * rows + i] = data[i * cols + j]!;
  }
  return { rows: cols, cols: rows, data: out };
}

/** Index of the first NaN or Inf in `data`, or -1. */
export function firstNonFinite(data: Float32Array | Float64Array): number {
  let i = 0;
  // x·0 is 0 for finite x, else NaN; four at a time take half the time
  for (; i + 4 <= data.length; i += 4) {
    if (data[i]! * 0 + data[i + 1]! * 0 + (data[i + 2]! * 0 + data[i + 3]! * 0) !== 0) break;
  }
  for (; i < data.length; i++) if (!Number.isFinite(data[i]!)) return i;
  return -1;
}
