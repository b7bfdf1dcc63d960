import { expect, it } from 'vitest';
import { atOnce, type Pausable } from './pausable.js';

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
