import type { SimpleType, SuperType } from './ggml-types.js';

/** The levels of a type in rising order, each with its code. −0 is left out: 0 stands for it. */
export interface Levels {
  readonly values: Float64Array;
  readonly codes: Uint8Array;
  /** boundaries[i] lies half-way between values[i] and values[i + 1]. */
  readonly boundaries: Float64Array;
}

export function sortedLevels(table: readonly number[]): Levels {
  const entries = table
    .map((value, code) => ({ value, code }))
    .filter(({ value }) => !Object.is(value, -0))
    .sort((a, b) => a.value - b.value);
  const values = Float64Array.from(entries, ({ value }) => value);
  return {
    values,
    codes: Uint8Array.from(entries, ({ code }) => code),
    boundaries: Float64Array.from({ length: values.length - 1 }, (_, i) => (values[i]! + values[i + 1]!) / 2),
  };
}

/** Place of the level nearest to `value`; of two equally near the one towards 0, as MXFP4 has it (IQ4's half-way points lie off the grid of float32). */
export function nearestPlace({ boundaries }: Levels, value: number): number {
  let low = 0;
  let high = boundaries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const boundary = boundaries[middle]!;
    if (value > boundary || (value === boundary && boundary < 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Levels by code. */
export function levelTable({ levels }: SimpleType | SuperType): Float64Array {
  if ('table' in levels) return Float64Array.from(levels.table);
  return Float64Array.from({ length: levels.top + 1 }, (_, code) => code - levels.zero);
}
