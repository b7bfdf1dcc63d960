import type { Tile } from './types.js';

/** The largest |x| of a tile, in float32. */
export function absMax({ rows, cols, data }: Tile): number {
  const count = rows * cols;
  let largest = 0;
  for (let i = 0; i < count; i++) {
    const x = Math.abs(data[i]!);
    if (x > largest) largest = x;
  }
  return Math.fround(largest);
}
