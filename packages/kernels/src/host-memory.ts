import { FewbitError } from '@fewbit/core';
import type { DeviceTensor } from './types.js';

/** What a tensor is on a backend whose memory the host can address: a shape and a live view. */
export interface HostTensor extends DeviceTensor {
  readonly data: Float32Array;
}

/** Where the numbers of host tensors lie. */
export interface Heap {
  /** `length` floats, of any content. */
  take(length: number): Float32Array;
  release(data: Float32Array): void;
}

/** The tensors of one host backend: who lives, who belongs to which step. */
export interface HostMemory {
  /** A new tensor of any content, freed by the step around it. */
  allocate(shape: readonly number[]): HostTensor;
  upload(data: Float32Array, shape: readonly number[]): HostTensor;
  /** The tensor itself; throws `backend` when it is freed or another backend's. */
  read(tensor: DeviceTensor): HostTensor;
  free(tensor: DeviceTensor): void;
  step<R>(body: () => R): R;
  readonly bytes: number;
}

/** Memory in JavaScript's own heap. */
export const arrayHeap: Heap = { take: (length) => new Float32Array(length), release: () => undefined };

export function hostMemory(heap: Heap): HostMemory {
  /** Every living tensor → the step that frees it. */
  const owners = new Map<DeviceTensor, Set<DeviceTensor> | undefined>();
  let scope: Set<DeviceTensor> | undefined;
  let bytes = 0;

  const create = (shape: readonly number[], owner: Set<DeviceTensor> | undefined): HostTensor => {
    const data = heap.take(shape.reduce((product, size) => product * size, 1));
    const tensor = { shape: [...shape], data };
    bytes += data.byteLength;
    owners.set(tensor, owner);
    owner?.add(tensor);
    return tensor;
  };
  const read = (tensor: DeviceTensor): HostTensor => {
    if (!owners.has(tensor)) {
      throw new FewbitError('backend', `A tensor of shape [${tensor.shape.join(', ')}] was freed, or belongs to another backend.`);
    }
    return tensor as HostTensor;
  };
  const free = (tensor: DeviceTensor) => {
    const { data } = read(tensor);
    owners.get(tensor)?.delete(tensor);
    owners.delete(tensor);
    bytes -= data.byteLength;
    heap.release(data);
  };

  return {
    allocate: (shape) => create(shape, scope),
    upload(data, shape) {
      const tensor = create(shape, undefined);
      if (tensor.data.length !== data.length) {
        free(tensor);
        throw new FewbitError('usage', `upload: shape [${shape.join(', ')}] does not hold ${data.length} values.`);
      }
      tensor.data.set(data);
      return tensor;
    },
    read,
    free,
    step(body) {
      const outer = scope;
      const inner = new Set<DeviceTensor>();
      scope = inner;
      try {
        const result = body();
        if (result instanceof Promise) throw new FewbitError('usage', 'step: the body must not be async; await outside of the step.');
        for (const tensor of tensorsIn(result)) {
          // Only what this step made changes hands; an older tensor keeps its owner.
          if (!inner.delete(tensor)) continue;
          owners.set(tensor, outer);
          outer?.add(tensor);
        }
        return result;
      } finally {
        for (const tensor of [...inner]) free(tensor);
        scope = outer;
      }
    },
    get bytes() {
      return bytes;
    },
  };
}

/** The tensors in a step's result: one tensor, or arrays and records of them. */
function tensorsIn(value: unknown): DeviceTensor[] {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  if ('shape' in value) return [value as DeviceTensor];
  return Object.values(value).flatMap(tensorsIn);
}
