import { FewbitError, type FileMapper } from '@fewbit/core';
import { checkedOps } from './checked-ops.js';
import { type Heap, type HostMemory, type HostTensor, hostMemory } from './host-memory.js';
import { type RecordedQueue, recorder } from './recorder.js';
import { referenceAlgebra } from './reference-algebra.js';
import { referenceOps } from './reference-ops.js';
import type { Algebra, Backend, DeviceTensor, Ops, PageForms, WeightForms } from './types.js';

/** A partial op table, with the reason for each op that it leaves to the next table, and what it leaves of others. */
export interface HostTable {
  readonly id: string;
  readonly ops: Partial<Ops>;
  readonly algebra: Partial<Algebra>;
  readonly rejects: Readonly<Partial<Record<keyof Ops | keyof Algebra, string>>>;
}

/** A backend over memory that the host can address: `tables` are tried in order, and the reference serves what is left. */
export function hostBackend<A extends Float32Array>(options: {
  id: string;
  description: string;
  threads: number;
  heap: Heap<A>;
  /** Of a heap that holds less than the host. */
  capacity?: number;
  /** Of a backend whose ops are only written down: runs them all, at once or while JavaScript goes on. */
  queue?: { settle(): void; finish(): Promise<void> } & (RecordedQueue | { readonly capture?: undefined });
  tables: (memory: HostMemory<A>) => readonly HostTable[];
  /** `Backend.weights`, where there are any. */
  weights?: (memory: HostMemory<A>) => WeightForms;
  /** `Backend.mapper`, where there is one. */
  mapper?: FileMapper;
  /** `Backend.pages`, where there are any. */
  pages?: (memory: HostMemory<A>) => PageForms;
  /** `Backend.stream`, where there is one. */
  stream?: (tensor: HostTensor<A>) => number;
  close(): Promise<void>;
}): Backend {
  const { id, description, threads, heap, queue, mapper, stream, close } = options;
  const memory = hostMemory(heap, queue?.settle);
  const recordings = queue?.capture && heap.tape && recorder(memory, queue, heap.tape);
  const tables = [...options.tables(memory), { id: 'reference', ops: referenceOps(memory), algebra: referenceAlgebra, rejects: {} }];
  const served = tables.map((table) => ({ id: table.id, entries: { ...table.ops, ...table.algebra } }));
  const names = Object.keys(served.at(-1)!.entries);
  return {
    id,
    description,
    threads,
    ops: checkedOps(layered(tables.map((table) => table.ops)) as Ops),
    algebra: layered(tables.map((table) => table.algebra)) as Algebra,
    chosen: Object.fromEntries(names.map((name) => [name, served.find(({ entries }) => name in entries)!.id])),
    rejected: Object.assign({}, ...tables.map((table) => table.rejects).reverse()),
    upload: memory.upload,
    empty: memory.empty,
    ...(options.weights && { weights: options.weights(memory) }),
    ...(mapper && { mapper }),
    ...(options.pages && { pages: options.pages(memory) }),
    ...(queue && { deferred: true, finish: queue.finish }),
    ...(recordings && { record: recordings.record }),
    async download(tensor, into) {
      const { data } = memory.find(tensor);
      if (into && into.length !== data.length) {
        throw new FewbitError('usage', `download: ${into.length} values do not hold a tensor of ${data.length}.`);
      }
      await queue?.finish();
      if (!into) return new Float32Array(data);
      into.set(data);
      return into;
    },
    async view(tensor) {
      const { data } = memory.find(tensor);
      await queue?.finish();
      return data;
    },
    free: memory.free,
    step: memory.step,
    ...(stream && { stream: (tensor: DeviceTensor) => stream(memory.read(tensor)) }),
    get bytes() {
      return memory.bytes + (recordings?.bytes() ?? 0);
    },
    ...(options.capacity && { capacity: options.capacity }),
    close,
  };
}

/** The first table that has an entry gives it. */
function layered<T extends object>(tables: readonly T[]): T {
  return Object.assign({}, ...tables.toReversed());
}
