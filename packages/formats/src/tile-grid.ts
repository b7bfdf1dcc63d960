import type { Granularity, NumericFormat, TileSize } from './types.js';

/** How tiles cover a matrix: `down` × `across` of them, row-major; the last of each direction may be ragged. */
export interface TileGrid {
  readonly rows: number;
  readonly cols: number;
  /** Tiles are runs of `tileCols` elements of the row-major matrix, across rows: they lie as on one row of rows × cols columns. */
  readonly flat: boolean;
  /** The size of a full tile; it may exceed the matrix. */
  readonly tileRows: number;
  readonly tileCols: number;
  readonly down: number;
  readonly across: number;
  /** down × across: the length of `QuantizedMatrix.params`. */
  readonly count: number;
}

/** The tiles of `format` over a rows × cols matrix. */
export function tileGrid(format: Pick<NumericFormat, 'tile'>, rows: number, cols: number): TileGrid {
  const { rows: tileRows, cols: tileCols, flat = false } = format.tile(rows, cols);
  const covered = flat ? { rows: 1, cols: rows * cols } : { rows, cols };
  const down = Math.ceil(covered.rows / tileRows);
  const across = Math.ceil(covered.cols / tileCols);
  return { rows, cols, flat, tileRows, tileCols, down, across, count: down * across };
}

/** The shape that the tiles lie on: the matrix's own, or one row for flat tiles. The row-major places of elements are the same in both. */
export function coveredShape({ rows, cols, flat }: TileGrid): { readonly rows: number; readonly cols: number } {
  return flat ? { rows: 1, cols: rows * cols } : { rows, cols };
}

/** Which tile holds element (row, col), where no `columnGroup` says otherwise. */
export function tileIndex(grid: TileGrid, row: number, col: number): number {
  if (grid.flat) return Math.floor((row * grid.cols + col) / grid.tileCols);
  return Math.floor(row / grid.tileRows) * grid.across + Math.floor(col / grid.tileCols);
}

/** The row-major place of element (row, col) in its tile. */
export function tileOffset(grid: TileGrid, row: number, col: number): number {
  if (grid.flat) return (row * grid.cols + col) % grid.tileCols;
  const first = col - (col % grid.tileCols);
  return (row % grid.tileRows) * Math.min(grid.tileCols, grid.cols - first) + col - first;
}

/** The size of a full tile. Flat runs that no row cuts are groups. */
export function tileSize(granularity: Granularity, rows: number, cols: number): TileSize {
  switch (granularity.kind) {
    case 'tensor':
      return { rows, cols };
    case 'channel':
      return { rows: 1, cols };
    case 'group':
      return { rows: 1, cols: granularity.size };
    case 'block':
      return { rows: granularity.rows, cols: granularity.cols };
    case 'flat':
      return { rows: 1, cols: granularity.size, flat: cols % granularity.size !== 0 };
  }
}
