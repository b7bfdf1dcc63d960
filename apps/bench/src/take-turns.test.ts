import { describe, expect, it } from 'vitest';
import { median, takeTurns } from './take-turns.js';

describe('takeTurns', () => {
  it('warms up, alternates the order, and takes medians', async () => {
    const calls: string[] = [];
    const figures = { a: [100, 1, 3, 2], b: [100, 7, 7, 9] };
    const contestant = (name: 'a' | 'b') => () => {
      calls.push(name);
      return figures[name][calls.filter((call) => call === name).length - 1]!;
    };
    expect(await takeTurns({ a: contestant('a'), b: contestant('b') }, { rounds: 3 })).toEqual({ a: 2, b: 7 });
    expect(calls.join('')).toBe('abbaabba');
  });

  it('stops when told to', async () => {
    const signal = AbortSignal.abort();
    await expect(takeTurns({ a: () => 1 }, { rounds: 1, signal })).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('median of an even number is the mean of the middle two', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });
});
