import { FewbitError, type Matrix } from '@fewbit/core';
import { tileGrid } from './tile-grid.js';
import type { NumericFormat, QuantizedMatrix, Tile } from './types.js';

export interface EncodeMatrixOptions<P> {
  /** Parameters per tile, row-major by tile; default: `fit` finds them. */
  readonly params?: readonly P[];
  /** Parameters for the tile whose first element is (row, col). The tile's data are only lent. Default `format.fit`. */
  readonly fit?: (tile: Tile, row: number, col: number) => P;
}

/** Every element of `weight` [rows, cols] to its nearest level. Throws `usage` where the number of params is not that of the tiles. */
export function encodeMatrix<P>(weight: Matrix, format: NumericFormat<P>, options: EncodeMatrixOptions<P> = {}): QuantizedMatrix<P> {
  const { rows, cols, data } = weight;
  const grid = tileGrid(format, rows, cols);
  const params = options.params ?? fitTiles(weight, format, options.fit ?? ((tile) => format.fit(tile)));
  if (params.length !== grid.count)
    throw new FewbitError('usage', `A ${rows} × ${cols} matrix has ${grid.count} tiles, got ${params.length} params.`);
  const codes = new Uint8Array(data.length);
  for (let i = 0, at = 0; i < rows; i++) {
    const rowOfTile = i % grid.tileRows;
    const firstTile = ((i - rowOfTile) / grid.tileRows) * grid.across;
    for (let t = 0; t < grid.across; t++) {
      const tileParams = params[firstTile + t]!;
      const width = Math.min(grid.tileCols, cols - t * grid.tileCols);
      const offset = rowOfTile * width;
      for (let j = 0; j < width; j++, at++) codes[at] = format.encode(data[at]!, tileParams, offset + j);
    }
  }
  return { rows, cols, spec: format.spec, codes, params };
}

function fitTiles<P>(weight: Matrix, format: NumericFormat<P>, fit: NonNullable<EncodeMatrixOptions<P>['fit']>): P[] {
  const grid = tileGrid(format, weight.rows, weight.cols);
  const params: P[] = [];
  const buffer = new Float32Array(Math.min(grid.tileRows, grid.rows) * Math.min(grid.tileCols, grid.cols));
  for (let row = 0; row < grid.rows; row += grid.tileRows) {
    for (let col = 0; col < grid.cols; col += grid.tileCols) {
      const rows = Math.min(grid.tileRows, grid.rows - row);
      const cols = Math.min(grid.tileCols, grid.cols - col);
      params.push(fit({ rows, cols, data: copyTile(weight, row, col, rows, cols, buffer) }, row, col));
    }
  }
  return params;
}

function copyTile(weight: Matrix, row: number, col: number, rows: number, cols: number, buffer: Float32Array): Float32Array {
  for (let i = 0; i < rows; i++) {
    const from = (row + i) * weight.cols + col;
    for (let j = 0; j < cols; j++) buffer[i * cols + j] = weight.data[from + j]!;
  }
  return rows * cols === buffer.length ? buffer : buffer.subarray(0, rows * cols);
}
