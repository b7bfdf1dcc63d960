import { FewbitError } from '@fewbit/core';
import type { Progress } from './types.js';

/** Tells the caller where the run is, keeps the seconds of each phase, and stops it when asked to. */
export class Course {
  readonly seconds: Record<string, number> = {};
  #done = 0;
  readonly #total: number;
  readonly #tell: ((progress: Progress) => void) | undefined;
  readonly #signal: AbortSignal | undefined;

  /** `total` is the work of the whole run, in any unit that `advance` counts in. */
  constructor(total: number, tell?: (progress: Progress) => void, signal?: AbortSignal) {
    this.#total = total;
    this.#tell = tell;
    this.#signal = signal;
  }

  /** Runs a piece of work worth `work`. Throws `cancelled` before it starts when the caller has aborted. */
  async step<R>(phase: Progress['phase'], at: string, work: number, body: () => R | Promise<R>): Promise<R> {
    throwIfAborted(this.#signal, at);
    this.#tell?.({ phase, at, fraction: Math.min(1, this.#done / this.#total) });
    const start = performance.now();
    const result = await body();
    this.seconds[phase] = (this.seconds[phase] ?? 0) + (performance.now() - start) / 1000;
    this.#done += work;
    return result;
  }
}

/** Throws `cancelled` when the caller has aborted. */
export function throwIfAborted(signal: AbortSignal | undefined, at: string): void {
  if (signal?.aborted) throw new FewbitError('cancelled', `Stopped at ${at}: nothing was written.`, { cause: signal.reason });
}
