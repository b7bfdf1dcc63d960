import { random } from '@fewbit/core';
import { type QuantizedMatrix, type SparseMatrix, sparseMatrix } from '../src/index.js';

/** `matrix` with about `share` of its weights kept beside the codes, and one row of them whole. */
export function withOutliers(matrix: QuantizedMatrix, share: number, seed: number, type: SparseMatrix['type'] = 'F16'): QuantizedMatrix {
  const { rows, cols } = matrix;
  const { uniform, normal, below } = random(seed);
  const whole = share > 0 ? below(rows) : rows;
  const places = Array.from({ length: rows * cols }, (_, at) => at).filter((at) => Math.floor(at / cols) === whole || uniform() < share);
  return {
    ...matrix,
    outliers: sparseMatrix(
      rows,
      cols,
      places,
      places.map(() => 4 * normal()),
      type,
    ),
  };
}
