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
  readonly places: number[];
  readonly steps: number[];
}

/** Most values that a number of the list may depend on together: of more values, each number may depend on one only. */
const mostTogether = 3;

/**
 * The function `listAt`, known by its values at a few places: where the ranges begin, one step on in some of them, and where all of them end, which must be what the others say.
 * Undefined where it is not linear, or has no value. Pauses between the calls of `listAt`.
 */
export function* linearList(
  ranges: readonly ValueRange[],
  listAt: (values: readonly number[]) => Float64Array | undefined,
): Pausable<LinearList | undefined> {
  const begin = ranges.map(({ from }) => from);
  const numbers = listAt(begin);
  if (!numbers) return undefined;
  const varied = [...ranges.keys()].filter((i) => ranges[i]!.to > ranges[i]!.from);
  const steps = varied.length > mostTogether ? codedSteps(varied.length) : varied.map((_, i) => [i]);
  const lists: Float64Array[] = [];
  for (const step of steps) {
    yield;
    const moved = new Set(step.map((i) => varied[i]!));
    const next = listAt(begin.map((from, i) => (moved.has(i) ? from + 1 : from)));
    if (next?.length !== numbers.length) return undefined;
    lists.push(next);
  }
  const slopes = varied.map((range): Slope => ({ range, value: begin[range]!, places: [], steps: [] }));
  const areKnown = varied.length > mostTogether ? decodeSlopes(slopes, numbers, lists) : findSlopes(slopes, numbers, lists);
  if (!areKnown) return undefined;
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

/** Which of `count` values are one step on in each list: value i in those that the binary digits of i + 1 name, so that no two are in the same ones. */
function codedSteps(count: number): number[][] {
  const values = Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: 32 - Math.clz32(count) }, (_, digit) => values.filter((i) => ((i + 1) >> digit) & 1));
}

/** The lists in which a number differs say which value it depends on; it must differ by the same in all of them. Plain loops: lists have tens of thousands of numbers. */
function decodeSlopes(slopes: readonly Slope[], numbers: Float64Array, lists: readonly Float64Array[]): boolean {
  for (let at = 0; at < numbers.length; at++) {
    let code = 0;
    let step = 0;
    for (let digit = 0; digit < lists.length; digit++) {
      const next = lists[digit]![at]!;
      if (Object.is(next, numbers[at])) continue;
      if (code > 0 && next - numbers[at]! !== step) return false;
      code |= 1 << digit;
      step = next - numbers[at]!;
    }
    if (code > slopes.length) return false;
    if (code > 0) addStep(slopes[code - 1]!, at, step);
  }
  return true;
}

/** Each list is one step on in one value. */
function findSlopes(slopes: readonly Slope[], numbers: Float64Array, lists: readonly Float64Array[]): boolean {
  for (const [i, slope] of slopes.entries()) {
    const next = lists[i]!;
    for (let at = 0; at < numbers.length; at++) if (!Object.is(next[at], numbers[at])) addStep(slope, at, next[at]! - numbers[at]!);
  }
  return true;
}

function addStep({ places, steps }: Slope, place: number, step: number): void {
  places.push(place);
  steps.push(step);
}

function same(a: Float64Array, b: Float64Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (!Object.is(a[at], b[at])) return false;
  return true;
}
