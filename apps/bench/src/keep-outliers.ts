import { random } from '@fewbit/core';
import { createFormat, type QuantizedMatrix, sparseMatrix, tileGrid, tileIndex, tileOffset } from '@fewbit/formats';

/** `matrix` with a share of its weights, at random places, kept beside its codes, which say 0 there. */
export function keepOutliers(matrix: QuantizedMatrix, share: number, seed: number): QuantizedMatrix {
  const { rows, cols, spec, params } = matrix;
  const { below, normal } = random(seed);
  const count = Math.round(share * rows * cols);
  // one in each of as many equal stretches, so that they rise
  const starts = Float64Array.from({ length: count + 1 }, (_, i) => Math.floor((i * rows * cols) / count));
  const places = starts.subarray(0, count).map((start, i) => start + below(starts[i + 1]! - start));
  const format = createFormat(spec);
  const grid = tileGrid(format, rows, cols);
  const codes = matrix.codes.slice();
  for (const place of places) {
    const [row, col] = [Math.floor(place / cols), place % cols];
    codes[place] = format.encode(0, params.at(tileIndex(grid, row, col)), tileOffset(grid, row, col));
  }
  return { ...matrix, codes, outliers: sparseMatrix(rows, cols, places, places.map(normal), 'F16') };
}

/** `outliers 0.5%`: as rows and labels say it; nothing for none. */
export function outliersLabel(share: number): string {
  return share === 0 ? '' : `outliers ${Number((100 * share).toPrecision(6))}%`;
}
