import type { Pausable } from '@fewbit/core';
import type { ValueRange } from './types.js';

/** A list of numbers that is a linear function of a few values. */
export interface LinearList {
  /** For the values that it was moved to last. */
  readonly numbers: Float64Array;
  moveTo(values: readonly number[]): void;
}

/** The numbers that change with one of the values, and by how much when it grows by 1. */
interface Slope {
  readonly range: number;
  value: number;
  readonly places: readonly number[];
  readonly steps: readonly number[];
}

/**
 * The function `listAt`, known by its values at a few places: where the ranges begin, one step on in each, and where all of them end, which must be what the others say. Undefined
 * where it is not linear, or has no value. Pauses between the calls of `listAt`.
 */
export function* linearList(
  ranges: readonly ValueRange[],
  listAt: (values: readonly number[]) => Float64Array | undefined,
): Pausable<LinearList | undefined> {
  const begin = ranges.map(({ from }) => from);
  const numbers = listAt(begin);
  if (!numbers) return undefined;
  const slopes: Slope[] = [];
  for (const [i, { from, to }] of ranges.entries()) {
    if (to === from) continue;
    yield;
    const next = listAt(begin.with(i, from + 1));
    if (next?.length !== numbers.length) return undefined;
    slopes.push(slopeOf(i, from, numbers, next));
  }
  const list: LinearList = {
    numbers,
    moveTo(values) {
      for (let i = 0; i < slopes.length; i++) {
        const slope = slopes[i]!;
        const { range, value, places, steps } = slope;
        const by = values[range]! - value;
        slope.value = values[range]!;
        for (let at = 0; at < places.length; at++) numbers[places[at]!]! += by * steps[at]!;
      }
    },
  };
  const end = ranges.map(({ to }) => to);
  list.moveTo(end);
  yield;
  const last = listAt(end);
  return last && same(last, numbers) ? list : undefined;
}

/** Plain loops: lists have tens of thousands of numbers. */
function slopeOf(range: number, value: number, numbers: Float64Array, next: Float64Array): Slope {
  const places: number[] = [];
  const steps: number[] = [];
  for (let at = 0; at < numbers.length; at++) {
    if (Object.is(next[at], numbers[at])) continue;
    places.push(at);
    steps.push(next[at]! - numbers[at]!);
  }
  return { range, value, places, steps };
}

function same(a: Float64Array, b: Float64Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (!Object.is(a[at], b[at])) return false;
  return true;
}
