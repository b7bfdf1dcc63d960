import type { Pausable } from '@fewbit/core';
import { afterEach, expect, it, vi } from 'vitest';
import { giveTurn, inTurns, nextTurn } from './next-turn.js';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

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

it('lets timers come first that are due, from whatever phase of the event loop', async () => {
  for (const enter of [setImmediate, setTimeout]) {
    await new Promise((resolve) => enter(resolve, 0));
    let heard = 0;
    setTimeout(() => heard++, 1);
    for (const begun = performance.now(); performance.now() < begun + 2; );
    await nextTurn();
    expect(heard).toBe(1);
  }
});

it('gives a turn when there was none for some milliseconds, and else goes on at once', async () => {
  const { turnsWithin, pass } = watched();
  await giveTurn();
  const after = (milliseconds: number) =>
    turnsWithin(async () => {
      pass(milliseconds);
      await giveTurn();
    });
  expect(await after(1.5)).toBe(0);
  expect(await after(1.5)).toBe(1);
  expect(await after(1.5)).toBe(0);
});

it('work that pauses goes on in other turns, where it has taken some milliseconds', async () => {
  const { turnsWithin, pass } = watched();
  function* work(milliseconds: number): Pausable<string> {
    for (let i = 0; i < 4; i++) {
      pass(milliseconds);
      yield;
    }
    return 'done';
  }
  await giveTurn();
  expect(await turnsWithin(async () => expect(await inTurns(work(0.1))).toBe('done'))).toBe(0);
  expect(await turnsWithin(() => inTurns(work(2.5)))).toBe(4);
});

let clock = performance.now();

/** A clock that goes on by hand, a while after the last one, and how often a turn is asked for. */
function watched() {
  clock += 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => clock);
  return {
    pass(milliseconds: number) {
      clock += milliseconds;
    },
    async turnsWithin(body: () => Promise<unknown>) {
      const turns = vi.spyOn(globalThis, 'setImmediate');
      await body();
      const { length } = turns.mock.calls;
      turns.mockRestore();
      return length / 2; // each waits for the phase of timers in between
    },
  };
}
