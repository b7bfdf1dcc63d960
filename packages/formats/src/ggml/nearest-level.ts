import type { SimpleType, SuperType } from './ggml-types.js';

/** The levels of a type in rising order, each with its code. −0 is left out: 0 stands for it. */
export interface Levels {
  readonly values: Float64Array;
  readonly codes: Uint8Array;
  /** boundaries[i] lies half-way between values[i] and values[i + 1]; Infinity after the last. */
  readonly boundaries: Float64Array;
  /** Cells of the line that hold one boundary at most: the first boundary at or after the start of each. */
  readonly cells: { readonly start: number; readonly perUnit: number; readonly boundary: Uint8Array };
}

export function sortedLevels(table: readonly number[]): Levels {
  const entries = table
    .map((value, code) => ({ value, code }))
    .filter(({ value }) => !Object.is(value, -0))
    .sort((a, b) => a.value - b.value);
  const values = Float64Array.from(entries, ({ value }) => value);
  const boundaries = values.map((value, i) => (value + (values[i + 1] ?? Number.POSITIVE_INFINITY)) / 2);
  return { values, codes: Uint8Array.from(entries, ({ code }) => code), boundaries, cells: cellsOf(boundaries) };
}

/** Half as wide as the narrowest gap, so that a value that rounding puts into the cell before its own still finds its boundary. */
function cellsOf(boundaries: Float64Array): Levels['cells'] {
  const finite = boundaries.subarray(0, -1);
  const start = finite[0]!;
  const width = finite.subarray(1).reduce((least, boundary, i) => Math.min(least, boundary - finite[i]!), Number.POSITIVE_INFINITY) / 2;
  const count = Math.ceil((finite.at(-1)! - start) / width) + 2;
  return {
    start,
    perUnit: 1 / width,
    boundary: Uint8Array.from({ length: count }, (_, cell) => boundaries.findIndex((boundary) => boundary >= start + cell * width)),
  };
}

/** Place of the level nearest to `value`; of two equally near the one towards 0, as MXFP4 has it (IQ4's half-way points lie off the grid of float32). */
export function nearestPlace({ boundaries, cells: { start, perUnit, boundary } }: Levels, value: number): number {
  const cell = (value - start) * perUnit;
  const last = boundary.length - 1;
  // biome-ignore lint/complexity/useMathMinMax: a hot path
  const place = boundary[(cell < 0 ? 0 : cell > last ? last : cell) | 0]!;
  const next = boundaries[place]!;
  return value > next || (value === next && next < 0) ? place + 1 : place;
}

/** Levels by code. */
export function levelTable({ levels }: SimpleType | SuperType): Float64Array {
  if ('table' in levels) return Float64Array.from(levels.table);
  return Float64Array.from({ length: levels.top + 1 }, (_, code) => code - levels.zero);
}
