import type { Importance, Tile } from '@fewbit/formats';

/**
 * What of a tile of one row is fitted, the values at `offsets` left out, with the importance of each value. A tile that is left out whole becomes
 * a single 0.
 */
export function leaveOut(tile: Tile, importance: Importance | undefined, offsets: readonly number[]): [Tile, Importance | undefined] {
  if (offsets.length === 0) return [tile, importance];
  const out = new Set(offsets);
  const kept = Array.from({ length: tile.cols }, (_, i) => i).filter((i) => !out.has(i));
  if (kept.length === 0) return [{ rows: 1, cols: 1, data: new Float64Array(1) }, importance && Float64Array.of(1)];
  return [
    { rows: 1, cols: kept.length, data: Float64Array.from(kept, (i) => tile.data[i]!) },
    importance && Float64Array.from(kept, (i) => importance[i]!),
  ];
}
