import { atOnce } from '@fewbit/core';
import { describe, expect, it } from 'vitest';
import { linearList } from './linear-list.js';

const ranges = [
  { from: 3, to: 9 },
  { from: 0, to: 100 },
];

it('a linear function is known for all values from a few', () => {
  const at = ([a, b]: readonly number[]) => Float64Array.of(7, a!, Number.NaN, 100 - 2 * a! + 3 * b!, 2 ** 47 + 64 * b!);
  let calls = 0;
  const work = linearList(ranges, (values) => {
    calls++;
    return at(values);
  });
  for (const before of [1, 2, 3]) {
    expect(work.next().done).toBe(false);
    expect(calls).toBe(before);
  }
  const list = atOnce(work)!;
  expect(calls).toBe(4);
  for (const values of [
    [3, 0],
    [9, 100],
    [4, 50],
    [4, 50],
    [8, 1],
  ]) {
    list.moveTo(values);
    expect(list.numbers).toEqual(at(values));
  }
});

it('a range of one value is no variable', () => {
  const list = atOnce(linearList([{ from: 5, to: 5 }], ([a]) => Float64Array.of(a!)))!;
  list.moveTo([5]);
  expect([...list.numbers]).toEqual([5]);
});

it.each<[string, (values: readonly number[]) => Float64Array | undefined]>([
  ['a square', ([a]) => Float64Array.of(a! * a!)],
  ['a product', ([a, b]) => Float64Array.of((a! - 3) * b!)],
  ['a step', ([, b]) => Float64Array.of(b! < 50 ? 0 : 1)],
  ['no list', () => undefined],
  ['no list at the end', ([a]) => (a === 9 ? undefined : Float64Array.of(1))],
  ['a longer list', ([a]) => new Float64Array(a!)],
  ['a longer list at the end', ([a, b]) => new Float64Array(a === 9 && b === 100 ? 2 : 1)],
])('refuses what is not linear: %s', (_, listAt) => {
  expect(atOnce(linearList(ranges, listAt))).toBeUndefined();
});

describe('of many values', () => {
  const many = Array.from({ length: 9 }, (_, i) => ({ from: i, to: i === 4 ? i : 50 * i + 1 }));

  it('is known from as many lists as their count has binary digits, where each number depends on one', () => {
    const at = (values: readonly number[]) => Float64Array.from(values.flatMap((value, i) => [value * (i + 2), 7, 2 ** 40 - value]));
    let calls = 0;
    const list = atOnce(
      linearList(many, (values) => {
        calls++;
        return at(values);
      }),
    )!;
    expect(calls).toBe(1 + 4 + 1);
    for (const share of [0.3, 1, 0, 0.7]) {
      const values = many.map(({ from, to }) => from + Math.floor(share * (to - from)));
      list.moveTo(values);
      expect(list.numbers).toEqual(at(values));
    }
  });

  it.each<[string, (values: readonly number[]) => number]>([
    ['a sum', ([a, b]) => a! + 2 * b!],
    ['a sum that looks like another value', ([a, b]) => a! + b!],
    ['a square', (values) => values[8]! ** 2],
    ['a sum of all', (values) => values.reduce((sum, value) => sum + value)],
  ])('refuses %s', (_, of) => {
    expect(atOnce(linearList(many, (values) => Float64Array.of(1, of(values))))).toBeUndefined();
  });
});
