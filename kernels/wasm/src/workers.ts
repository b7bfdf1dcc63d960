import type { Worker } from 'node:worker_threads';
import { failed } from './control.js';

/** A worker's whole program, as text: it runs the same from the sources and from the build. `serve` returns when the engine closes. */
export const workerProgram = `
const { parentPort, workerData } = require('node:worker_threads');
const { module, memory, thread } = workerData;
const { serve } = new WebAssembly.Instance(module, { env: { memory } }).exports;
parentPort.postMessage('ready');
try {
  serve(thread);
} catch (error) {
  Atomics.store(new Int32Array(memory.buffer), ${failed / 4}, 1);
  throw error;
}
`;

/** Starts `count` threads over one memory, or none and says why. They do not keep the process alive. */
export async function startWorkers(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  count: number,
): Promise<{ workers: Worker[]; hindrance?: string }> {
  if (count === 0) return { workers: [] };
  const workers: Worker[] = [];
  try {
    const { Worker } = await import('node:worker_threads');
    for (let thread = 1; thread <= count; thread++) {
      workers.push(new Worker(workerProgram, { eval: true, execArgv: [], workerData: { module, memory, thread } }));
    }
    await Promise.all(workers.map(ready));
    for (const worker of workers) worker.unref();
    return { workers };
  } catch (error) {
    await Promise.all(workers.map((worker) => worker.terminate()));
    return { workers: [], hindrance: `no worker threads: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function ready(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('a worker ended at its start')));
  });
}
