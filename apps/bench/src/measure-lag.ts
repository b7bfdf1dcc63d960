import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import type { LagFigures } from './documents.js';

/** Milliseconds between two turns of the timer that watches the event loop. */
const resolution = 1;

/** What `body` gives, and how long other work of the process waits for its turn while it runs: the time between turns of a timer, less what they are apart in an idle process. */
export async function measureLag<R>(body: () => Promise<R>): Promise<{ readonly result: R; readonly lag: LagFigures }> {
  const delays = monitorEventLoopDelay({ resolution });
  delays.enable();
  delays.reset();
  await setTimeout(2 * resolution); // the first turn begins the first delay
  const result = await body();
  await setTimeout(2 * resolution); // the turn that the body's last step held up
  delays.disable();
  const lagOf = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolution);
  return { result, lag: { p50: lagOf(delays.percentile(50)), p99: lagOf(delays.percentile(99)), max: lagOf(delays.max) } };
}
