import { FewbitError } from '@fewbit/core';
import { firstArgument, generation, kernel, mayWait, scratchBase, scratchStride, slots, stopped } from './control.js';
import type { Platform } from './platform.js';
import { type SharedHeap, sharedHeap } from './shared-heap.js';
import { startWorkers } from './workers.js';

/** The compiled kernels, their memory and their threads. */
export interface Engine {
  readonly heap: SharedHeap;
  readonly threads: number;
  /** Why there are fewer threads than asked for. */
  readonly hindrance: string | undefined;
  /** Runs `tasks` tasks of a kernel over all threads; returns when all are done. `scratch`: bytes that each thread may use. */
  run(kernel: number, tasks: number, values: readonly number[], scratch?: number): void;
  /** Factors one diagonal block; false when it is not positive definite. */
  choleskyDiagonal(address: number, rowBytes: number, size: number): boolean;
  close(): Promise<void>;
}

interface Exports {
  runJob(tasks: number, workers: number): number;
  choleskyDiagonal(address: number, rowBytes: number, size: number): number;
}

export async function createEngine(module: WebAssembly.Module, threads: number, platform: Platform): Promise<Engine> {
  const heap = sharedHeap();
  const { memory } = heap;
  const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Exports;
  // An old view of a shared memory stays valid when the memory grows; these words are in its first page.
  const words = new Int32Array(memory.buffer);
  const values = new Float64Array(memory.buffer, slots, 32);
  const { workers, hindrance } = await startWorkers(platform, module, memory, threads - 1);
  words[mayWait / 4] = blockingAllowed() ? 1 : 0;

  return {
    heap,
    threads: workers.length + 1,
    hindrance,

    run(id, tasks, list, scratch = 0) {
      if (tasks <= 0) return;
      const helpers = Math.min(workers.length, tasks - 1);
      const stride = Math.ceil(scratch / 64) * 64;
      const base = stride > 0 ? heap.allocate(stride * (workers.length + 1)) : 0;
      words[kernel / 4] = id;
      values[scratchBase] = base;
      values[scratchStride] = stride;
      values.set(list, firstArgument);
      if (!exports.runJob(tasks, helpers)) throw new FewbitError('backend', 'A WebAssembly worker has failed; open the backend again.');
      if (stride > 0) heap.free(base);
    },

    choleskyDiagonal: (address, rowBytes, size) => exports.choleskyDiagonal(address, rowBytes, size) !== 0,

    async close() {
      Atomics.store(words, stopped / 4, 1);
      Atomics.add(words, generation / 4, 1);
      Atomics.notify(words, generation / 4);
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/** False on a page's own thread, which must not sleep: there it looks again and again. */
function blockingAllowed(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}
