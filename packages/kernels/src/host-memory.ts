import { FewbitError } from '@fewbit/core';
import type { Tape } from './recorded-heap.js';
import type { DeviceTensor } from './types.js';

/** What a tensor is on a backend whose memory the host can address: a shape and a live view. */
export interface HostTensor<A extends Float32Array = Float32Array> extends DeviceTensor {
  readonly data: A;
}

/** A weight or page in a form of the backend's own, which `form` describes: `data` holds its bytes. */
export interface FormedTensor<A extends Float32Array = Float32Array> extends HostTensor<A> {
  readonly form: unknown;
}

/** Where the numbers of host tensors lie. */
export interface Heap<A extends Float32Array = Float32Array> {
  /** `length` floats, of any content. */
  take(length: number): A;
  release(data: A): void;
  /** New memory for a recording. */
  tape?(): Tape;
}

/** The tensors of one host backend: who lives, who belongs to which step. */
export interface HostMemory<A extends Float32Array = Float32Array> {
  /** A new tensor of any content, freed by the step around it. */
  allocate(shape: readonly number[]): HostTensor<A>;
  /** The same outside of any step, until `free`. */
  empty(shape: readonly number[]): HostTensor<A>;
  upload(data: Float32Array, shape: readonly number[]): HostTensor<A>;
  /** The tensor, its numbers there to be read: all ops written down before have run. Throws as `find`. */
  read(tensor: DeviceTensor): HostTensor<A>;
  /** The tensor, whose numbers may still be to come; throws `backend` when it is freed or another backend's, `usage` when its numbers are in a form of the backend's own. */
  find(tensor: DeviceTensor): HostTensor<A>;
  /** A tensor of any form: a weight, or a page. */
  findAny(tensor: DeviceTensor): HostTensor<A> | FormedTensor<A>;
  /** Room of `bytes` for a weight or page in a form of the backend's own; lives until `free`. The host may write to it. */
  hold(shape: readonly number[], bytes: number, form: unknown): FormedTensor<A>;
  /** The same for what ops alone write to: nothing is waited for. */
  holdEmpty(shape: readonly number[], bytes: number, form: unknown): FormedTensor<A>;
  /** A weight of `bytes` in memory of somebody else's, which `data` keeps. Lives until `free`. */
  lend(shape: readonly number[], data: A, bytes: number, form: unknown): FormedTensor<A>;
  free(tensor: DeviceTensor): void;
  step<R>(body: () => R): R;
  /** Runs `body`, whose ops are not to run: what it finds of the tensors that live on, or undefined where it asks for more than ops. */
  recorded(body: () => void): readonly DeviceTensor[] | undefined;
  readonly bytes: number;
}

/** Memory in JavaScript's own heap. */
export const arrayHeap: Heap = { take: (length) => new Float32Array(length), release: () => undefined };

/** `runAll` runs the ops that a backend has only written down, before the host reads or writes. */
export function hostMemory<A extends Float32Array>(heap: Heap<A>, runAll: () => void = () => undefined): HostMemory<A> {
  let scope: Scope | undefined;
  let bytes = 0;
  /** While ops are recorded: what they find, and whether something else was asked for. */
  let recorded: { readonly found: Set<Held>; refused: boolean } | undefined;
  const refuseRecorded = () => {
    if (!recorded) return;
    recorded.refused = true;
    throw new FewbitError('usage', 'Ops that are recorded do not run: nothing can be read, written or kept between them.');
  };
  const settle = () => {
    refuseRecorded();
    runAll();
  };

  /** Tensors outside of any step. Nobody else may know them any more, while ops that use them are still to run. */
  const kept = new Set<DeviceTensor>();

  /** A tensor of this memory, and the step that frees it. */
  class Held implements HostTensor<A> {
    alive = true;
    declare readonly form?: unknown;
    /** `lent`: it lies in somebody else's memory. */
    constructor(
      readonly shape: readonly number[],
      readonly data: A,
      public owner: Scope | undefined,
      readonly size = data.byteLength,
      readonly lent = false,
    ) {
      bytes += size;
      this.give(owner);
    }
    give(owner: Scope | undefined): void {
      this.owner = owner;
      if (owner) owner.push(this);
      else kept.add(this);
    }
  }
  type Scope = Held[];

  const create = (shape: readonly number[], owner: Scope | undefined) => new Held([...shape], heap.take(lengthOf(shape)), owner);
  const findAny = (tensor: DeviceTensor): Held => {
    if (tensor instanceof Held && tensor.alive) {
      recorded?.found.add(tensor);
      return tensor;
    }
    throw new FewbitError('backend', `A tensor of shape [${tensor.shape.join(', ')}] was freed, or belongs to another backend.`);
  };
  const find = (tensor: DeviceTensor): Held => {
    const found = findAny(tensor);
    if ('form' in found) {
      throw new FewbitError(
        'usage',
        `A weight or page of shape [${tensor.shape.join(', ')}] in a form of the backend's own: only matmul and embed take such weights, store and attention such pages.`,
      );
    }
    return found;
  };
  const free = (tensor: DeviceTensor) => {
    const found = findAny(tensor);
    found.alive = false;
    kept.delete(found);
    bytes -= found.size;
    if (found.lent)
      settle(); // what is written down may still read it
    else heap.release(found.data);
  };

  const held = (shape: readonly number[], size: number, form: unknown) =>
    Object.assign(new Held([...shape], heap.take(Math.ceil(size / 4)), undefined), { form });

  return {
    allocate: (shape) => create(shape, scope),
    empty(shape) {
      refuseRecorded();
      return create(shape, undefined);
    },
    upload(data, shape) {
      if (lengthOf(shape) !== data.length)
        throw new FewbitError('usage', `upload: shape [${shape.join(', ')}] does not hold ${data.length} values.`);
      settle();
      const tensor = create(shape, undefined);
      tensor.data.set(data);
      return tensor;
    },
    read(tensor) {
      const found = find(tensor);
      settle();
      return found;
    },
    find,
    findAny,
    hold(shape, size, form) {
      settle();
      return held(shape, size, form);
    },
    holdEmpty(shape, size, form) {
      refuseRecorded();
      return held(shape, size, form);
    },
    lend: (shape, data, size, form) => Object.assign(new Held([...shape], data, undefined, size, true), { form }),
    free,
    step(body) {
      const outer = scope;
      const inner: Scope = [];
      scope = inner;
      try {
        const result = body();
        if (result instanceof Promise) throw new FewbitError('usage', 'step: the body must not be async; await outside of the step.');
        for (const tensor of tensorsIn(result)) {
          // Only what this step made changes hands; an older tensor keeps its owner.
          if (!(tensor instanceof Held) || tensor.owner !== inner) continue;
          tensor.give(outer);
        }
        return result;
      } finally {
        for (const tensor of inner) if (tensor.alive && tensor.owner === inner) free(tensor);
        scope = outer;
      }
    },
    recorded(body) {
      const here = { found: new Set<Held>(), refused: false };
      recorded = here;
      try {
        body();
        return [...here.found].filter(({ alive }) => alive);
      } catch (error) {
        if (here.refused) return undefined;
        throw error;
      } finally {
        recorded = undefined;
      }
    },
    get bytes() {
      return bytes;
    },
  };
}

function lengthOf(shape: readonly number[]): number {
  let length = 1;
  for (let i = 0; i < shape.length; i++) length *= shape[i]!;
  return length;
}

/** The tensors in a step's result: one tensor, or arrays and records of them. */
function tensorsIn(value: unknown): DeviceTensor[] {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  if ('shape' in value) return [value as DeviceTensor];
  return Object.values(value).flatMap(tensorsIn);
}
