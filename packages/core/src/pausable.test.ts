import { expect, it } from 'vitest';
import { atOnce, findInStrips, inStrips, type Pausable } from './pausable.js';

it('work is done at once, through all its pauses', () => {
  const done: number[] = [];
  function* work(): Pausable<string> {
    for (let i = 0; i < 3; i++) {
      done.push(i);
      yield;
    }
    return 'all';
  }
  expect(atOnce(work())).toBe('all');
  expect(done).toEqual([0, 1, 2]);
});

it.each([
  [
    3,
    2 ** 17,
    [
      [0, 2],
      [2, 3],
    ],
  ],
  [
    3,
    2 ** 20,
    [
      [0, 1],
      [1, 2],
      [2, 3],
    ],
  ],
  [5, 0, [[0, 5]]],
  [0, 8, []],
])('%i units of %i values come in strips, with pauses between', (count, size, strips) => {
  const seen: number[][] = [];
  const pauses = [...inStrips(count, size, (...strip) => seen.push(strip))].length;
  expect(seen).toEqual(strips);
  expect(pauses).toBe(Math.max(0, strips.length - 1));
}); // prettier-ignore

it.each([0, 5, 2 ** 18 - 1, 2 ** 18, 600_000, -1])('place %i is found in strips', (place) => {
  const values = new Uint8Array(600_001);
  if (place >= 0) values[place] = 1;
  expect(atOnce(findInStrips(values.length, (start, end) => values.subarray(start, end).indexOf(1)))).toBe(place);
});
