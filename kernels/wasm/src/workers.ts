import { completed, failed } from './control.js';
import type { Platform, ThreadWorker } from './platform.js';

/**
 * A worker's whole program, as text: it runs the same from the sources and from the build. The first worker coordinates, the others help it; both return
 * when the engine closes. A post of the coordinator says that all jobs have run, or that there is a failure.
 */
export const workerProgram = `
function run({ module, memory, thread }) {
  const { conduct, serve } = new WebAssembly.Instance(module, { env: { memory } }).exports;
  post('ready');
  try {
    if (thread > 0) serve(thread);
    else while (conduct()) post('done');
  } catch (error) {
    const words = new Int32Array(memory.buffer);
    Atomics.store(words, ${failed / 4}, 1);
    Atomics.notify(words, ${completed / 4});
    post('failed');
    throw error;
  }
}
`;

/** Starts `count` threads over one memory, or none and says why. They do not keep the process alive. */
export async function startWorkers(
  platform: Platform,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  count: number,
): Promise<{ workers: ThreadWorker[]; hindrance?: string }> {
  const starts = Array.from({ length: count }, (_, i) => platform.startWorker(workerProgram, { module, memory, thread: i }));
  const results = await Promise.allSettled(starts);
  const workers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failure = results.find((result) => result.status === 'rejected');
  if (!failure) return { workers };
  await Promise.all(workers.map((worker) => worker.terminate()));
  const { reason } = failure;
  return { workers: [], hindrance: `no worker threads: ${reason instanceof Error ? reason.message : String(reason)}` };
}
