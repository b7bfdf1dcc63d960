import type { Importance } from './types.js';

/** Of one importance per column of a matrix, those of a tile `width` wide that starts at column `col`; a flat tile goes on at column 0. */
export function importanceAt(importance: Importance, col: number, width: number): Importance {
  if (col + width <= importance.length) return importance.subarray(col, col + width);
  return Float64Array.from({ length: width }, (_, i) => importance[(col + i) % importance.length]!);
}
