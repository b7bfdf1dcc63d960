/** Milliseconds that a computation may hold the thread before others have a turn, where it has a chance to let them. */
const patience = 4;
let lastTurn = 0;

/** Gives other work of the thread (events, timers, messages) its turn, if it had none for a few milliseconds. */
export async function giveTurn(): Promise<void> {
  if (performance.now() - lastTurn < patience) return;
  await nextTurn();
  lastTurn = performance.now();
}

/** Resolves when other work of the thread has had its turn; sooner than a timer would, in Node.js and in browsers. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
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
