import type { Pausable } from '@fewbit/core';

/** Milliseconds that a computation may hold the thread before others have a turn, where it has a chance to let them. */
const patience = 2;
let lastTurn = 0;

/** Gives other work of the thread (events, timers, messages) its turn, if it had none for a few milliseconds. */
export async function giveTurn(): Promise<void> {
  if (performance.now() - lastTurn < patience) return;
  await nextTurn();
  lastTurn = performance.now();
}

/** The result of `work`, in whose pauses other work of the thread has its turns. */
export async function inTurns<R>(work: Pausable<R>): Promise<R> {
  for (;;) {
    await giveTurn();
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Resolves when other work of the thread has had its turn, timers and messages; sooner than a timer would, in Node.js and in browsers. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(() => setImmediate(resolve)); // the first may come before the timers of this turn
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
