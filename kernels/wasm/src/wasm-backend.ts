import { type Backend, type Heap, hostBackend, hostPages, roundedByReference } from '@fewbit/kernels';
import { createEngine } from './engine.js';
import type { Build } from './load-build.js';
import { currentPlatform } from './platform.js';
import { heapLimit, type SharedHeap } from './shared-heap.js';
import { stream } from './stream.js';
import { wasmAlgebra } from './wasm-algebra.js';
import { wasmOps } from './wasm-ops.js';
import { weightForms } from './weight-forms.js';

/** A backend over one build of the kernels. */
export async function wasmBackend({ module, instructions }: Build, threads: number, platform = currentPlatform()): Promise<Backend> {
  const engine = await createEngine(module, threads, platform);
  const count = `${engine.threads} thread${engine.threads === 1 ? '' : 's'}`;
  return hostBackend({
    id: 'wasm',
    description: [`WebAssembly ${instructions}, ${count}`, ...(engine.hindrance ? [engine.hindrance] : [])].join('; '),
    threads: engine.threads,
    heap: tensorHeap(engine.heap),
    capacity: heapLimit,
    ...(engine.deferred && { queue: engine.deferred }),
    tables: (memory) => [
      {
        id: 'wasm',
        ops: wasmOps(engine, memory),
        algebra: wasmAlgebra(engine),
        rejects: { roundActivations: roundedByReference },
      },
    ],
    weights: (memory) => weightForms(engine, memory),
    pages: hostPages,
    stream: (tensor) => stream(engine, tensor),
    close: engine.close,
  });
}

function tensorHeap(heap: SharedHeap): Heap {
  return {
    take: (length) => {
      const address = heap.allocate(length * 4);
      return new Float32Array(heap.memory.buffer, address, length);
    },
    release: (data) => heap.free(data.byteOffset),
    tape: heap.tape,
  };
}
