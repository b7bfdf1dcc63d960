import { generation, helpers, stopped, submitted } from './control.js';
import { type DeferredQueue, otherThread, ownThread } from './job-queue.js';
import type { Platform } from './platform.js';
import { type SharedHeap, sharedHeap } from './shared-heap.js';
import { startWorkers } from './workers.js';

/** The compiled kernels, their memory and their threads. */
export interface Engine {
  readonly heap: SharedHeap;
  readonly threads: number;
  /** Why there are fewer threads than asked for. */
  readonly hindrance: string | undefined;
  /**
   * Has `tasks` tasks of a kernel run over all threads, after all that was written down before: at once where JavaScript's thread is the only one. Until
   * `settle` the host neither reads nor writes memory that jobs use, or used before it was freed.
   */
  run(kernel: number, tasks: number, values: readonly number[], options?: RunOptions): void;
  /** Has all that is written down begin now, since JavaScript does something else meanwhile. */
  begin(): void;
  /** Returns once all has run. */
  settle(): void;
  /** Where jobs run on other threads than JavaScript's. */
  readonly deferred?: DeferredQueue;
  close(): Promise<void>;
}

export interface RunOptions {
  /** Bytes that each thread may use. Default 0. */
  readonly scratch?: number;
  /** Arguments behind the others; copied. */
  readonly operands?: ArrayLike<number>;
}

const none: readonly number[] = [];

export async function createEngine(module: WebAssembly.Module, threads: number, platform: Platform): Promise<Engine> {
  const heap = sharedHeap();
  const { memory } = heap;
  const { workers, hindrance } = await startWorkers(platform, module, memory, threads);
  const words = new Int32Array(memory.buffer);
  words[helpers / 4] = Math.max(0, workers.length - 1);
  const [coordinator] = workers;
  const deferred = coordinator && otherThread(memory, coordinator);
  const queue = deferred ?? ownThread(memory, instantiate(module, memory));

  return {
    heap,
    threads: Math.max(1, workers.length),
    hindrance,

    run(kernel, tasks, values, { scratch: bytes = 0, operands = none } = {}) {
      if (tasks <= 0) return;
      const scratch = Math.ceil(bytes / 64) * 64;
      const scratchAt = scratch > 0 ? heap.allocate(scratch * Math.max(1, workers.length)) : 0;
      queue.push({ kernel, tasks, values, operands, scratch, scratchAt });
      if (scratch > 0) heap.free(scratchAt);
    },
    begin: queue.begin,
    settle: queue.settle,
    ...(deferred && { deferred }),

    async close() {
      await deferred?.finish().catch(() => undefined); // of a failure, those who wait for results hear
      Atomics.store(words, stopped / 4, 1);
      for (const word of [generation, submitted]) {
        Atomics.add(words, word / 4, 1);
        Atomics.notify(words, word / 4);
      }
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/** The kernels on this thread. */
function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): (job: number) => number {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return exports.runJob as (job: number) => number;
}
