import type { Importance, Tile } from '../types.js';
import type { Span } from './level-fit.js';

/** A tile's values and weights in double; the tile is one row. Weights that are all 0 count as none. */
export function spanOf({ data, cols }: Tile, importance: Importance | undefined): Span {
  const w = new Float64Array(cols);
  let sum = 0;
  if (importance) for (let i = 0; i < cols; i++) sum += w[i] = importance[i]!;
  if (!(sum > 0)) w.fill(1);
  return { x: Float64Array.from(data.subarray(0, cols)), w, from: 0, count: cols };
}
