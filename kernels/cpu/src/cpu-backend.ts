import { type Backend, hostBackend, hostPages, recordedHeap, roundedByReference } from '@fewbit/kernels';
import type { Addon } from './addon.js';
import { commandQueue } from './command-queue.js';
import { cpuAlgebra } from './cpu-algebra.js';
import { cpuOps } from './cpu-ops.js';
import { nativeFiles } from './native-files.js';
import { nativeHeap } from './native-heap.js';
import { weightForms } from './weight-forms.js';

/** A backend over one set of native kernels. Throws when this processor cannot run it. */
export function cpuBackend(addon: Addon, instructionSet: string, threads: number): Backend {
  const engine = new addon.Engine(threads, instructionSet);
  const queue = commandQueue(engine);
  const files = nativeFiles(addon);
  return hostBackend({
    id: 'cpu',
    description: `native ${engine.description}, ${threads} thread${threads === 1 ? '' : 's'}`,
    threads,
    heap: recordedHeap(nativeHeap(addon, queue.settle), Float32Array.BYTES_PER_ELEMENT),
    queue,
    tables: (memory) => [
      {
        id: 'cpu',
        ops: cpuOps(queue, memory),
        algebra: cpuAlgebra(engine),
        rejects: { roundActivations: roundedByReference },
      },
    ],
    weights: (memory) => weightForms(engine, queue, memory, files),
    pages: hostPages,
    mapper: files,
    stream: ({ data }) => engine.stream(data, data.length),
    async close() {
      await queue.finish(); // memory may go as soon as nobody knows the backend
      engine.close();
    },
  });
}
