import { FewbitError } from '@fewbit/core';
import type { Heap } from '@fewbit/kernels';
import type { Addon } from './addon.js';

/** A view of native memory that knows where it lies. */
export type NativeArray = Float32Array & { readonly address: number };

/** Most bytes of freed blocks that are kept for use again. */
const spareLimit = 2 ** 30;

/**
 * Blocks of native memory in whole cache lines. A freed block is given out again for the same size, so that a loop of the same operations
 * allocates nothing; past `spareLimit` blocks go back to the system, after `settle` has run what may still use them.
 */
export function nativeHeap(addon: Pick<Addon, 'allocate' | 'addressOf'>, settle: () => void): Heap<NativeArray> {
  /** Freed blocks by their length in floats. */
  const spare = new Map<number, NativeArray[]>();
  let spareBytes = 0;

  return {
    take(length) {
      const size = blockLength(length);
      const found = spare.get(size)?.pop();
      if (found) spareBytes -= size * 4;
      const block = found ?? allocate(size);
      return block.length === length ? block : view(block.buffer as ArrayBuffer, block.address, length);
    },
    release(data) {
      const size = data.buffer.byteLength / 4;
      if (spareBytes + size * 4 > spareLimit) return settle(); // freed when JavaScript drops its ArrayBuffer
      spareBytes += size * 4;
      const blocks = spare.get(size);
      if (blocks) blocks.push(data);
      else spare.set(size, [data]);
    },
  };

  function allocate(size: number): NativeArray {
    try {
      const buffer = addon.allocate(size * 4);
      return view(buffer, addon.addressOf(buffer), size);
    } catch (cause) {
      throw new FewbitError('backend', `The system has no ${size * 4} bytes left: use a smaller model or shorter sequences.`, { cause });
    }
  }
}

function view(buffer: ArrayBuffer, address: number, length: number): NativeArray {
  return Object.assign(new Float32Array(buffer, 0, length), { address });
}

/** Whole cache lines; of longer blocks whole eighths of a power of two, so that like sizes share blocks. */
function blockLength(length: number): number {
  const step = Math.max(16, 2 ** Math.floor(Math.log2(Math.max(1, length)) - 3));
  return Math.max(16, Math.ceil(length / step) * step);
}
