import { afterEach, expect, it, vi } from 'vitest';
import { giveTurn, nextTurn } from './next-turn.js';

afterEach(() => vi.unstubAllGlobals());

it.each(['with setImmediate', 'with messages, where there is no setImmediate'])('lets messages that wait come first, %s', async (how) => {
  if (how !== 'with setImmediate') vi.stubGlobal('setImmediate', undefined);
  const { port1, port2 } = new MessageChannel();
  let heard = 0;
  port1.onmessage = () => heard++;
  port2.postMessage(undefined);
  for (let turn = 0; turn < 3 && heard === 0; turn++) await nextTurn();
  expect(heard).toBe(1);
  port1.close();
});

it('gives a turn when there was none for some milliseconds, and else goes on at once', async () => {
  let clock = performance.now();
  const now = vi.spyOn(performance, 'now').mockImplementation(() => clock);
  let turns = 0;
  const turnsWithin = async (milliseconds: number) => {
    const before = turns;
    const other = setImmediate(() => turns++);
    clock += milliseconds;
    await giveTurn();
    clearImmediate(other);
    return turns - before;
  };
  await turnsWithin(1000);
  expect(await turnsWithin(3)).toBe(0);
  expect(await turnsWithin(3)).toBe(1);
  expect(await turnsWithin(3)).toBe(0);
  now.mockRestore();
});
