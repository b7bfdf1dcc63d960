import { FewbitError } from '@fewbit/core';
import type { Backend, DeviceTensor, Ops } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import type { BlockCache } from './types.js';

/** Keys and values of the tokens of one sequence, for every block, in pages that it takes as it grows. Serves one call at a time. */
export interface KeyValueCache {
  /** Tokens held. */
  readonly length: number;
  /** Tokens that fit before it takes another page. */
  readonly capacity: number;
  readonly blocks: readonly BlockCache[];
  /** A copy of the tokens held. */
  tokens(): Uint32Array;
  /** Takes pages for `count` more tokens. Throws `usage` where the model's context is shorter, `backend` where memory is, and then holds what it held. */
  reserve(count: number): void;
  /** Counts `tokens` as held, once every block has stored them. */
  advance(tokens: Uint32Array): void;
  /** Forgets all but the first `length` tokens and gives back the pages that they leave empty. */
  truncate(length: number): void;
  close(): void;
}

/**
 * An empty cache in the backend's memory, until `close`. `pageTokens`: tokens per page; by default 240, two steps of the attention kernels (120 keys
 * with AVX2, up to 128 elsewhere).
 */
export function createCache(plan: ModelPlan, backend: Backend, { pageTokens = 240 }: { readonly pageTokens?: number } = {}): KeyValueCache {
  if (!Number.isSafeInteger(pageTokens) || pageTokens < 1)
    throw new FewbitError('usage', `pageTokens must be a positive integer, got ${pageTokens}.`);
  const pageRows = Math.min(pageTokens, plan.maxPositions);
  const blocks = plan.blocks.map(() => ({ keys: [] as DeviceTensor[], values: [] as DeviceTensor[] }));
  const lists = blocks.flatMap(({ keys, values }) => [keys, values]);
  const widths = plan.blocks.flatMap(({ attention: { keyValueHeads, headSize } }) => new Array<number>(2).fill(keyValueHeads * headSize));
  const held: number[] = [];
  let pages = 0;

  /** Gives back pages, and what a failed `reserve` took of one. */
  const shrink = (to: number) => {
    for (const list of lists) for (const page of list.splice(to)) backend.free(page);
    pages = to;
  };
  return {
    get length() {
      return held.length;
    },
    get capacity() {
      return Math.min(pages * pageRows, plan.maxPositions);
    },
    blocks,
    tokens: () => Uint32Array.from(held),
    reserve(count) {
      const needed = held.length + count;
      if (needed > plan.maxPositions) {
        throw new FewbitError('usage', `${needed} tokens are more than this model's context of ${plan.maxPositions}: give a shorter text.`);
      }
      if (pages * pageRows >= needed) return;
      const before = pages;
      try {
        const blank = new Float32Array(pageRows * Math.max(...widths));
        for (; pages * pageRows < needed; pages++) {
          for (const [i, list] of lists.entries())
            list.push(backend.upload(blank.subarray(0, pageRows * widths[i]!), [pageRows, widths[i]!]));
        }
      } catch (error) {
        shrink(before);
        throw error;
      }
    },
    advance(tokens) {
      for (const token of tokens) held.push(token);
    },
    truncate(length) {
      held.length = Math.min(held.length, length);
      shrink(Math.ceil(held.length / pageRows));
    },
    close() {
      held.length = 0;
      shrink(0);
    },
  };
}

/** Writes `rows` [m, n] into pages of one shape at row `start` of all of them. */
export function storeRows(ops: Ops, pages: readonly DeviceTensor[], rows: DeviceTensor, start: number): void {
  const pageRows = pages[0]!.shape[0]!;
  const [m] = rows.shape as [number];
  for (let at = 0, count: number; at < m; at += count) {
    const place = (start + at) % pageRows;
    count = Math.min(m - at, pageRows - place);
    const part = count === m ? rows : ops.rows(rows, at, count);
    ops.store(pages[Math.floor((start + at) / pageRows)]!, part, place);
  }
}
