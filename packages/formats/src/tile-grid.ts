import type { Granularity, NumericFormat } from './types.js';

/** How tiles cover a matrix: `down` × `across` of them, row-major; the last of each direction may be ragged. */
export interface TileGrid {
  readonly rows: number;
  readonly cols: number;
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
  const tile = format.tile(rows, cols);
  const down = Math.ceil(rows / tile.rows);
  const across = Math.ceil(cols / tile.cols);
  return { rows, cols, tileRows: tile.rows, tileCols: tile.cols, down, across, count: down * across };
}

/** Which tile holds element (row, col), where no `columnGroup` says otherwise. */
export function tileIndex(grid: TileGrid, row: number, col: number): number {
  return Math.floor(row / grid.tileRows) * grid.across + Math.floor(col / grid.tileCols);
}

/** The size of a full tile. */
export function tileSize(granularity: Granularity, rows: number, cols: number): { rows: number; cols: number } {
  switch (granularity.kind) {
    case 'tensor':
      return { rows, cols };
    case 'channel':
      return { rows: 1, cols };
    case 'group':
      return { rows: 1, cols: granularity.size };
    case 'block':
      return { rows: granularity.rows, cols: granularity.cols };
  }
}
