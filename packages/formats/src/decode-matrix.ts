import { atOnce, inStrips, type Matrix, matrix, type Pausable } from '@fewbit/core';
import { createFormat } from './create-format.js';
import { putEntries } from './sparse-matrix.js';
import { coveredShape, tileGrid } from './tile-grid.js';
import type { QuantizedMatrix } from './types.js';

/** To decode a code takes as long as a few of the usual values of a strip. */
const decodingCost = 4;

/** The values that `quantized` stands for, as a float32 reader computes them. */
export function decodeMatrix(quantized: QuantizedMatrix): Matrix {
  return atOnce(decodeInStrips(quantized));
}

/** The same with pauses. */
export function* decodeInStrips(quantized: QuantizedMatrix): Pausable<Matrix> {
  const { codes, params, columnGroup, outliers } = quantized;
  const format = createFormat(quantized.spec);
  const grid = tileGrid(format, quantized.rows, quantized.cols);
  const { rows, cols } = coveredShape(grid);
  const out = matrix(quantized.rows, quantized.cols);
  /** Part of a row in one tile: number `run`, row by row. */
  const decodeRun = (run: number) => {
    const t = run % grid.across;
    const i = (run - t) / grid.across;
    const rowOfTile = i % grid.tileRows;
    const firstTile = ((i - rowOfTile) / grid.tileRows) * grid.across;
    const start = t * grid.tileCols;
    const width = Math.min(grid.tileCols, cols - start);
    const tileParams = params.at(firstTile + t)!;
    for (let j = 0, at = i * cols + start; j < width; j++, at++) {
      out.data[at] = format.decode(codes[at]!, tileParams, rowOfTile * width + j);
    }
  };
  const decodeRow = (i: number, groups: Uint32Array) => {
    const ofRow = Array.from({ length: grid.across }, (_, t) => params.at(Math.floor(i / grid.tileRows) * grid.across + t)!);
    for (let j = 0, at = i * cols; j < cols; j++, at++) out.data[at] = format.decode(codes[at]!, ofRow[groups[j]!], 0);
  };
  if (columnGroup) {
    yield* inStrips(rows, decodingCost * cols, (first, end) => {
      for (let i = first; i < end; i++) decodeRow(i, columnGroup);
    });
  } else {
    yield* inStrips(rows * grid.across, decodingCost * grid.tileCols, (first, end) => {
      for (let run = first; run < end; run++) decodeRun(run);
    });
  }
  if (outliers) putEntries(outliers, out);
  return out;
}
