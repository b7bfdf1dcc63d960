import { FewbitError, type Matrix } from '@fewbit/core';
import { encodeMatrix, type NumericFormat, type QuantizedMatrix, type SparseMatrix, sparseMatrix } from '@fewbit/formats';
import type { ChosenOutliers } from './choose-outliers.js';

/** Rounds to nearest what is not chosen, and keeps what is. `format` is bound, where it can be. */
export function encodeBeside<P>(weight: Matrix, format: NumericFormat<P>, { places, params }: ChosenOutliers<P>): QuantizedMatrix<P> {
  const { rows, cols } = weight;
  const data = weight.data.slice();
  for (const place of places) data[place] = 0;
  const matrix = encodeMatrix({ rows, cols, data }, format, { params });
  if (places.length === 0) return matrix;
  return {
    ...matrix,
    outliers: sparseMatrix(
      rows,
      cols,
      places,
      Array.from(places, (place) => weight.data[place]!),
      outlierType(weight.data),
    ),
  };
}

/** What outliers are stored as: half precision, whose 11 bits err less than any code, or float32 where a weight comes near its end. */
export function outlierType(weights: Float32Array | Float64Array): SparseMatrix['type'] {
  return weights.some((value) => Math.abs(value) > largestHalf / 2) ? 'F32' : 'F16';
}

const largestHalf = 65504;

/** Throws `usage` for an option `outliers` that is no share of the weights. */
export function requireShare(method: string, outliers: number): void {
  if (outliers >= 0 && outliers <= mostOutliers) return;
  throw new FewbitError(
    'usage',
    `${method}'s outliers is ${outliers}: use a share of the weights from 0 to ${mostOutliers}, such as 0.005.`,
  );
}

/** Beyond it the index of an outlier takes more room than more bits for all would. */
const mostOutliers = 0.2;
