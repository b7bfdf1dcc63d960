import { setTimeout } from 'node:timers/promises';
import { FewbitError } from '@fewbit/core';

/** Milliseconds between two turns, in which threads that wait by spinning fall asleep: those of onnxruntime take more than 20, those of Fewbit 2. */
const pause = 60;

/** One measurement: the figure of one run (tokens per second, bytes per second, …). */
export type Run = () => number | Promise<number>;

/**
 * Runs the contestants one after the other, `rounds` times, every other round in the opposite order, so that a noisy moment of
 * the machine hurts all of them alike; a first round that does not count warms up. Returns each one's median.
 */
export async function takeTurns<K extends string>(
  contestants: Readonly<Partial<Record<K, Run>>>,
  { rounds, signal }: { rounds: number; signal?: AbortSignal | undefined },
): Promise<Record<K, number>> {
  const entries = Object.entries(contestants) as [K, Run][];
  const figures = new Map(entries.map(([name]) => [name, [] as number[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, run] of round % 2 === 0 ? entries : entries.toReversed()) {
      if (signal?.aborted) throw new FewbitError('cancelled', 'Benchmark stopped.', { cause: signal.reason });
      await setTimeout(pause);
      const figure = await run();
      if (round > 0) figures.get(name)!.push(figure);
    }
  }
  return Object.fromEntries(entries.map(([name]) => [name, median(figures.get(name)!)])) as Record<K, number>;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Seconds that `body` takes. */
export async function seconds(body: () => unknown): Promise<number> {
  const start = performance.now();
  await body();
  return (performance.now() - start) / 1000;
}
