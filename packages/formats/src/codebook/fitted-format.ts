import { storableScale } from '../storable-scale.js';
import { tileGrid, tileSize } from '../tile-grid.js';
import type { CodebookSpec, Importance, NumericFormat, Tile } from '../types.js';
import { kMeans } from './k-means.js';

/** A tile's own levels: x̂ = levels[code]. */
export interface FittedParams {
  /** 2^bits of them, rising, exact in the spec's `scaleType`; a tile with fewer values repeats the last. */
  readonly levels: Float32Array;
  /** Half-way points between neighbours; a value on one belongs to the lower. */
  readonly bounds: Float64Array;
}

/**
 * Lists of levels fitted to each tile: the best there are for its values, by exact k-means. `fit` weighs all values alike and has no range
 * to shrink; `search` weighs them by importance (SqueezeLLM, Kim et al. 2023, section 4.1, with its k-means solved exactly).
 */
export function fittedFormat(spec: CodebookSpec): NumericFormat<FittedParams> {
  const { bits, granularity, scaleType } = spec;
  const levels = 2 ** bits;
  const solve = (tile: Tile, importance?: Importance) => {
    const centers = kMeans(tile, levels, importance);
    const stored = Float32Array.from(centers, (center) => (center === 0 ? 0 : storableScale(scaleType, center)));
    return fittedParams(Float32Array.from({ length: levels }, (_, i) => stored[Math.min(i, stored.length - 1)]!));
  };
  const format: NumericFormat<FittedParams> = {
    spec,
    levels,
    tile: (rows, cols) => tileSize(granularity, rows, cols),
    fit: (tile) => solve(tile),
    search: solve,
    encode,
    decode: (code, params) => params.levels[code]!,
    storedBits: (rows, cols) => rows * cols * bits + tileGrid(format, rows, cols).count * levels * (scaleType === 'F32' ? 32 : 16),
  };
  return format;
}

/** Params of rising `levels`, as many as codes. */
export function fittedParams(levels: Float32Array): FittedParams {
  return { levels, bounds: Float64Array.from({ length: levels.length - 1 }, (_, i) => (levels[i]! + levels[i + 1]!) / 2) };
}

function encode(value: number, { bounds }: FittedParams): number {
  let at = 0;
  for (let step = (bounds.length + 1) >> 1; step > 0; step >>= 1) if (value > bounds[at + step - 1]!) at += step;
  return at;
}
