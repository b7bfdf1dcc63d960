import { type Matrix, matrix } from '@fewbit/core';
import { createFormat } from './create-format.js';
import { putEntries } from './sparse-matrix.js';
import { coveredShape, tileGrid } from './tile-grid.js';
import type { QuantizedMatrix } from './types.js';

/** The values that `quantized` stands for, as a float32 reader computes them. */
export function decodeMatrix(quantized: QuantizedMatrix): Matrix {
  const { codes, params, columnGroup, outliers } = quantized;
  const format = createFormat(quantized.spec);
  const grid = tileGrid(format, quantized.rows, quantized.cols);
  const { rows, cols } = coveredShape(grid);
  const out = matrix(quantized.rows, quantized.cols);
  for (let i = 0, at = 0; i < rows; i++) {
    const rowOfTile = i % grid.tileRows;
    const firstTile = ((i - rowOfTile) / grid.tileRows) * grid.across;
    if (columnGroup) {
      const ofRow = Array.from({ length: grid.across }, (_, t) => params.at(firstTile + t)!);
      for (let j = 0; j < cols; j++, at++) out.data[at] = format.decode(codes[at]!, ofRow[columnGroup[j]!], 0);
      continue;
    }
    for (let t = 0; t < grid.across; t++) {
      const tileParams = params.at(firstTile + t)!;
      const width = Math.min(grid.tileCols, cols - t * grid.tileCols);
      const offset = rowOfTile * width;
      for (let j = 0; j < width; j++, at++) out.data[at] = format.decode(codes[at]!, tileParams, offset + j);
    }
  }
  if (outliers) putEntries(outliers, out);
  return out;
}
