import { fitSearched, importanceAt, type NumericFormat, type Tile } from '@fewbit/formats';
import type { Clip } from './options.js';

/** Fits a tile whose first column is `column`, as `clip` says. `sequence` and `upper` are the sweep's order and factor. */
export function tileFitter<P>(
  format: NumericFormat<P>,
  clip: Clip,
  hessian: { readonly diagonal: Float64Array; readonly sequence: Uint32Array; readonly upper: Float64Array },
): (tile: Tile, column: number) => P {
  if (clip === 'off') return (tile) => format.fit(tile);
  if (clip === 'plain') return (tile) => fitSearched(format, tile);
  const importance = clip === 'hessian' ? hessian.diagonal : errorCosts(hessian);
  return (tile, column) => fitSearched(format, tile, { importance: importanceAt(importance, column, tile.cols) });
}

/** 1/U[k,k]² by column: what a unit of squared error adds to the layer's when all later columns make up for it. */
function errorCosts({ sequence, upper }: { sequence: Uint32Array; upper: Float64Array }): Float64Array {
  const n = sequence.length;
  const costs = new Float64Array(n);
  for (const [k, column] of sequence.entries()) costs[column] = 1 / upper[k * n + k]! ** 2;
  return costs;
}
