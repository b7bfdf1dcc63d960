import { FewbitError, type Matrix } from '@fewbit/core';
import { coveredShape, type TileGrid, tileGrid } from './tile-grid.js';
import type { NumericFormat, QuantizedMatrix, Tile } from './types.js';

export interface EncodeMatrixOptions<P> {
  /** Parameters per tile, row-major by tile; default: `fit` finds them. */
  readonly params?: readonly P[];
  /** Parameters for the tile whose first element is (row, col). The tile's data are only lent. Default `format.fit`. */
  readonly fit?: (tile: Tile, row: number, col: number) => P;
}

/**
 * Every element of `weight` [rows, cols] to its nearest level; without `options` as the format's own program rounds.
 * Throws `usage` where the number of params is not that of the tiles.
 */
export function encodeMatrix<P>(
  weight: Matrix,
  format: NumericFormat<P>,
  options: EncodeMatrixOptions<P> = {},
): QuantizedMatrix<P> & { readonly params: readonly P[] } {
  const grid = tileGrid(format, weight.rows, weight.cols);
  const fitted = options.params ?? fitUnsettled(weight, format, grid, options.fit);
  if (fitted.length !== grid.count)
    throw new FewbitError('usage', `A ${weight.rows} × ${weight.cols} matrix has ${grid.count} tiles, got ${fitted.length} params.`);
  const params = options.params ?? format.settle?.(fitted, grid) ?? fitted;
  const codes = nearestCodes(weight, format, grid, format.roundsUnsettled && !options.fit ? fitted : params);
  return { rows: weight.rows, cols: weight.cols, spec: format.spec, codes, params };
}

/** Parameters of every tile of `weight`, row-major by tile, second-level ones settled. `fit` is by default that of the format, bound to `weight`. */
export function fitMatrix<P>(weight: Tile, format: NumericFormat<P>, fit?: EncodeMatrixOptions<P>['fit']): readonly P[] {
  const grid = tileGrid(format, weight.rows, weight.cols);
  const params = fitUnsettled(weight, format, grid, fit);
  return format.settle?.(params, grid) ?? params;
}

function fitUnsettled<P>(weight: Tile, format: NumericFormat<P>, grid: TileGrid, fit: EncodeMatrixOptions<P>['fit']): P[] {
  if (fit) return fitTiles(weight, grid, fit);
  const bound = format.bind?.(weight) ?? format;
  return fitTiles(weight, grid, (tile) => bound.fit(tile));
}

function fitTiles<P>(weight: Tile, grid: TileGrid, fit: NonNullable<EncodeMatrixOptions<P>['fit']>): P[] {
  const { tileRows, tileCols } = grid;
  const covered = coveredShape(grid);
  const params: P[] = [];
  const buffer = new Float64Array(Math.min(tileRows, covered.rows) * Math.min(tileCols, covered.cols));
  for (let row = 0; row < covered.rows; row += tileRows) {
    for (let col = 0; col < covered.cols; col += tileCols) {
      const rows = Math.min(tileRows, covered.rows - row);
      const cols = Math.min(tileCols, covered.cols - col);
      const data = copyTile(weight.data, row * covered.cols + col, covered.cols, rows, cols, buffer);
      params.push(
        grid.flat ? fit({ rows, cols, data }, Math.floor(col / grid.cols), col % grid.cols) : fit({ rows, cols, data }, row, col),
      );
    }
  }
  return params;
}

function copyTile(from: Tile['data'], start: number, stride: number, rows: number, cols: number, buffer: Float64Array): Float64Array {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) buffer[i * cols + j] = from[start + i * stride + j]!;
  }
  return rows * cols === buffer.length ? buffer : buffer.subarray(0, rows * cols);
}

function nearestCodes<P>({ data }: Matrix, format: NumericFormat<P>, grid: TileGrid, params: readonly P[]): Uint8Array {
  const { rows, cols } = coveredShape(grid);
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
  return codes;
}
