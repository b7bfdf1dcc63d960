import { afterEach, expect, it, vi } from 'vitest';
import { nextTurn } from './next-turn.js';

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
