import { FewbitError } from '@fewbit/core';
import type { Backend, DeviceTensor } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import type { BlockCache } from './types.js';

/** Keys and values of the tokens of one sequence, for every block. Serves one call at a time. */
export interface KeyValueCache {
  /** Tokens held. */
  readonly length: number;
  /** Tokens that fit before it grows again. */
  readonly capacity: number;
  readonly blocks: readonly BlockCache[];
  /** Makes room for `count` more tokens, doubling up to the model's context. Throws `usage` where that is not enough. */
  reserve(count: number): void;
  /** Counts `count` tokens as held, once every block has stored them. */
  advance(count: number): void;
  close(): void;
}

const firstCapacity = 64;

/** An empty cache in the backend's memory, until `close`. */
export function createCache(plan: ModelPlan, backend: Backend): KeyValueCache {
  let length = 0;
  let capacity = 0;
  let blocks: readonly { keys: DeviceTensor; values: DeviceTensor }[] = [];

  const free = () => {
    for (const { keys, values } of blocks) {
      backend.free(keys);
      backend.free(values);
    }
  };
  const grown = (old: DeviceTensor | undefined, width: number): DeviceTensor => {
    const tensor = backend.upload(new Float32Array(capacity * width), [capacity, width]);
    if (old && length > 0) backend.step(() => backend.ops.store(tensor, backend.ops.rows(old, 0, length), 0));
    return tensor;
  };

  return {
    get length() {
      return length;
    },
    get capacity() {
      return capacity;
    },
    get blocks() {
      return blocks;
    },
    reserve(count) {
      const needed = length + count;
      if (needed > plan.maxPositions) {
        throw new FewbitError('usage', `${needed} tokens are more than this model's context of ${plan.maxPositions}: give a shorter text.`);
      }
      if (needed <= capacity) return;
      capacity = Math.min(plan.maxPositions, Math.max(needed, 2 * capacity, firstCapacity));
      const next = plan.blocks.map(({ attention: { keyValueHeads, headSize } }, i) => ({
        keys: grown(blocks[i]?.keys, keyValueHeads * headSize),
        values: grown(blocks[i]?.values, keyValueHeads * headSize),
      }));
      free();
      blocks = next;
    },
    advance(count) {
      length += count;
    },
    close() {
      free();
      blocks = [];
      length = 0;
      capacity = 0;
    },
  };
}
