import { FewbitError } from '@fewbit/core';
import { formatName, type Importance, type NumericFormat, type Tile, type TileGrid, tileGrid } from '@fewbit/formats';
import { leaveOut } from './leave-out.js';
import { MaxHeap } from './max-heap.js';

/** Fits a tile, or what is left of one as a single row; `importance` of each of its columns. */
export type TileFit<P> = (tile: Tile, importance?: Importance) => P;

export interface OutlierSearch<P> {
  /** [rows, cols] row-major. */
  readonly weight: Tile;
  /** Bound, where it can be. */
  readonly format: NumericFormat<P>;
  /** At most this share of the weights is chosen, above 0. */
  readonly share: number;
  readonly fit: TileFit<P>;
  /** What `fit` gets, by column. Default: nothing. */
  readonly importance?: Importance | undefined;
  /** What a unit of squared error costs, by column: the mean square of that input, say. Default: all alike. */
  readonly cost?: Importance | undefined;
}

export interface ChosenOutliers<P> {
  /** Row-major, rising. */
  readonly places: Uint32Array;
  /** Of every tile, fitted without them and settled. */
  readonly params: readonly P[];
}

/**
 * The weights to keep beside the codes: those that save the most squared error. What one saves is its own error, and what its tile errs less when it
 * is fitted without it; so an outlier is what stretches a grid, or what matters and lies badly. In each tile, candidates are tried from the farthest
 * from its median on, and the tile that saves the most has the next word. SpQR (Dettmers et al. 2023, arXiv 2306.03078, section 4.2) asks the same of
 * each weight alone, against a threshold; here the share is given, and what a tile saves follows from what it has left out already.
 *
 * Throws `unsupported` for a format whose tiles are made of parts, of which none can be left out.
 */
export function chooseOutliers<P>(search: OutlierSearch<P>): ChosenOutliers<P> {
  const { weight, format, share } = search;
  if (format.affine?.span !== undefined) {
    throw new FewbitError('unsupported', `${formatName(format.spec)} has parts within its blocks: no weight can be left out of one.`);
  }
  const grid = tileGrid(format, weight.rows, weight.cols);
  const tiles = Array.from({ length: grid.count }, (_, index) => new TileState(search, grid, index));
  const savings = new MaxHeap(Float64Array.from(tiles, (tile) => tile.saving));
  const places: number[] = [];
  const budget = Math.round(share * weight.rows * weight.cols);
  while (places.length < budget && savings.max > 0) {
    const tile = tiles[savings.top]!;
    for (const place of tile.take(budget - places.length)) places.push(place);
    savings.replaceTop(tile.saving);
  }
  const params = tiles.map((tile) => tile.params);
  return { places: Uint32Array.from(places).sort(), params: format.settle?.(params, grid) ?? params };
}

/** A tile on its way: what it has left out, and what it would save next. */
class TileState<P> {
  params: P;
  /** Of squared error, per weight left out. */
  saving = 0;
  private error: number;
  private left = 0;
  private next!: { readonly params: P; readonly error: number; readonly left: number };

  constructor(
    private readonly search: OutlierSearch<P>,
    private readonly grid: TileGrid,
    private readonly index: number,
  ) {
    const tile = this.read();
    ({ params: this.params, error: this.error } = this.fitWithout(tile, []));
    this.lookAhead(tile);
  }

  /** Leaves out the next weights, at most `most`; returns their places in the matrix. */
  take(most: number): number[] {
    const tile = this.read();
    const before = this.left;
    if (this.next.left - before > most) this.lookAhead(tile, most);
    ({ params: this.params, error: this.error, left: this.left } = this.next);
    const taken = farthest(tile, this.left).slice(before);
    this.lookAhead(tile);
    return taken.map((offset) => tile.places[offset]!);
  }

  private lookAhead(tile: PlacedTile, most = stepOf(tile, this.search.share)): void {
    const left = Math.min(this.left + most, tile.data.length);
    const found = this.fitWithout(tile, farthest(tile, left));
    this.next = { ...found, left };
    this.saving = left === this.left ? 0 : (this.error - found.error) / (left - this.left);
  }

  private fitWithout(tile: PlacedTile, offsets: readonly number[]): { params: P; error: number } {
    const { format, fit, importance, cost, weight } = this.search;
    const byElement = importance && Float64Array.from(tile.places, (place) => importance[place % weight.cols]!);
    const params = fit(...leaveOut(tile, byElement, offsets));
    const out = new Set(offsets);
    let error = 0;
    for (const [offset, value] of tile.data.entries()) {
      if (out.has(offset)) continue;
      const d = value - format.decode(format.encode(value, params, offset), params, offset);
      error += (cost ? cost[tile.places[offset]! % weight.cols]! : 1) * d * d;
    }
    return { params, error };
  }

  private read(): PlacedTile {
    const { rows, cols, data } = this.search.weight;
    const { flat, tileRows, tileCols, across } = this.grid;
    const [top, first] = flat ? [0, this.index * tileCols] : [Math.floor(this.index / across) * tileRows, (this.index % across) * tileCols];
    const height = flat ? 1 : Math.min(tileRows, rows - top);
    const width = Math.min(tileCols, (flat ? rows * cols : cols) - first);
    const places = new Uint32Array(height * width);
    const values = new Float64Array(places.length);
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        const place = (top + i) * cols + first + j;
        places[i * width + j] = place;
        values[i * width + j] = data[place]!;
      }
    }
    return { rows: 1, cols: values.length, places, data: values };
  }
}

/** A tile's values as one row: where they lie in it makes no difference. */
interface PlacedTile extends Tile {
  readonly data: Float64Array;
  /** In the matrix, of each value. */
  readonly places: Uint32Array;
}

/** A wide tile gives up several weights at a time, half its share: each look at it costs a fit. */
function stepOf({ data }: PlacedTile, share: number): number {
  return Math.max(1, Math.floor((share * data.length) / 2));
}

/** Places in the tile of the `count` values that lie farthest from its median, the farthest first; of equals the first. */
function farthest({ data }: PlacedTile, count: number): number[] {
  const rising = Array.from(data.keys()).sort((a, b) => data[a]! - data[b]! || a - b);
  const median = data[rising[rising.length >> 1]!]!;
  const found: number[] = [];
  for (let [low, high] = [0, rising.length - 1]; found.length < count; ) {
    const [below, above] = [median - data[rising[low]!]!, data[rising[high]!]! - median];
    found.push(below > above ? rising[low++]! : rising[high--]!);
  }
  return found;
}
