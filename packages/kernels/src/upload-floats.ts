import { findInStrips, inStrips, type Matrix, type Pausable } from '@fewbit/core';
import type { HostMemory, HostTensor } from './host-memory.js';

/** A copy of `data`, with pauses. */
export function uploadInStrips<A extends Float32Array>(
  memory: HostMemory<A>,
  data: Float32Array,
  shape: readonly number[],
): Pausable<HostTensor<A>> {
  const tensor = memory.read(memory.empty(shape)); // read: the host is going to write where ops may still be at work
  return filled(
    memory,
    tensor,
    inStrips(data.length, 1, (start, end) => tensor.data.set(data.subarray(start, end), start)),
  );
}

/**
 * A weight as bf16 where that loses nothing, else as float32; with pauses. `shorten` writes values `start` to `end` − 1 into the tensor, and returns false where one of
 * them is no bf16.
 */
export function* uploadShortened<A extends Float32Array>(
  memory: HostMemory<A>,
  { rows, cols, data }: Matrix,
  shorten: (tensor: HostTensor<A>, start: number, end: number) => boolean,
): Pausable<HostTensor<A>> {
  const tensor = memory.hold([rows, cols], 2 * data.length, { kind: 'bf16' });
  let isExact = false;
  try {
    isExact = (yield* findInStrips(data.length, (start, end) => (shorten(tensor, start, end) ? -1 : 0))) < 0;
  } finally {
    if (!isExact) memory.free(tensor);
  }
  return isExact ? tensor : yield* uploadInStrips(memory, data, [rows, cols]);
}

/** `tensor`, once `work` has filled it; freed where that fails or is given up. */
export function* filled<T extends HostTensor>(memory: Pick<HostMemory, 'free'>, tensor: T, work: Pausable<void>): Pausable<T> {
  let isFilled = false;
  try {
    yield* work;
    isFilled = true;
    return tensor;
  } finally {
    if (!isFilled) memory.free(tensor);
  }
}
