import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import type { LagFigures } from './documents.js';

/** Milliseconds between two turns of the timer that watches the event loop. */
const resolution = 1;

/** How long other work of the process waits for its turn while `body` runs: the time between turns of a timer, less what they are apart in an idle process. */
export async function measureLag(body: () => Promise<unknown>): Promise<LagFigures> {
  const delays = monitorEventLoopDelay({ resolution });
  delays.enable();
  delays.reset();
  await setTimeout(2 * resolution); // the first turn begins the first delay
  await body();
  await setTimeout(2 * resolution); // the turn that the body's last step held up
  delays.disable();
  const lag = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolution);
  return { p50: lag(delays.percentile(50)), p99: lag(delays.percentile(99)), max: lag(delays.max) };
}
