import type { ValueRange } from './types.js';

/** A list of numbers that is a linear function of a few values. */
export interface LinearList {
  /** For the values that it was moved to last. */
  readonly numbers: Float64Array;
  moveTo(values: readonly number[]): void;
}

/** The numbers that change with one value, and by how much when it grows by 1. */
interface Slope {
  value: number;
  readonly places: readonly number[];
  readonly steps: readonly number[];
}

/**
 * The function `listAt`, known by its values at a few places: where the ranges begin, one step on in each, and where all of them end, which must be what the others say. Undefined
 * where it is not linear.
 */
export function linearList(ranges: readonly ValueRange[], listAt: (values: readonly number[]) => Float64Array): LinearList | undefined {
  const begin = ranges.map(({ from }) => from);
  const numbers = listAt(begin);
  const slopes: Slope[] = [];
  for (const [i, { from, to }] of ranges.entries()) {
    const next = to > from ? listAt(begin.with(i, from + 1)) : numbers;
    if (next.length !== numbers.length) return undefined;
    const places = [...numbers.keys()].filter((at) => !Object.is(next[at], numbers[at]));
    slopes.push({ value: from, places, steps: places.map((at) => next[at]! - numbers[at]!) });
  }
  const list: LinearList = {
    numbers,
    moveTo(values) {
      for (let i = 0; i < slopes.length; i++) {
        const slope = slopes[i]!;
        const { places, steps } = slope;
        const by = values[i]! - slope.value;
        slope.value = values[i]!;
        for (let at = 0; at < places.length; at++) numbers[places[at]!]! += by * steps[at]!;
      }
    },
  };
  const end = ranges.map(({ to }) => to);
  list.moveTo(end);
  const last = listAt(end);
  return last.length === numbers.length && last.every((number, at) => Object.is(number, numbers[at])) ? list : undefined;
}
