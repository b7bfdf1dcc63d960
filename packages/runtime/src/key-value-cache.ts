import { FewbitError } from '@fewbit/core';
import type { KeyValueRounding } from '@fewbit/formats';
import type { Backend, DeviceTensor, Ops, PageForm } from '@fewbit/kernels';
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
  /** Calls `listener` once, before the next page is taken or given back. */
  beforePagesChange(listener: () => void): void;
  /** Forgets all but the first `length` tokens and gives back the pages that they leave empty. */
  truncate(length: number): void;
  close(): void;
}

/** What a cache is made for: a model, or its plan on a backend. */
export interface CachedModel {
  readonly plan: ModelPlan;
  readonly backend: Backend;
  /** Of each block; default: float32 in all of them. */
  readonly cacheForms?: readonly BlockForms[];
}

/** How pages of a block hold keys and values; float32 where it is not said. */
export interface BlockForms {
  readonly keys?: PageForm;
  readonly values?: PageForm;
}

/**
 * An empty cache in the backend's memory, until `close`. `pageTokens`: tokens per page; by default 240, two steps of the attention kernels (120 keys
 * with AVX2, up to 128 elsewhere).
 */
export function createCache(
  { plan, backend, cacheForms }: CachedModel,
  { pageTokens = 240 }: { readonly pageTokens?: number } = {},
): KeyValueCache {
  if (!Number.isSafeInteger(pageTokens) || pageTokens < 1)
    throw new FewbitError('usage', `pageTokens must be a positive integer, got ${pageTokens}.`);
  const pageRows = Math.min(pageTokens, plan.maxPositions);
  const lists = plan.blocks.map(({ attention: { keyValueHeads, headSize } }, i): [PageList, PageList] => {
    const { keys, values } = cacheForms?.[i] ?? {};
    const width = keyValueHeads * headSize;
    return [
      { pages: [], width, form: keys },
      { pages: [], width, form: values },
    ];
  });
  const blocks = lists.map(([keys, values]) => ({ keys: keys.pages, values: values.pages, rounds: typeof keys.form === 'object' }));
  const held: number[] = [];
  let pages = 0;
  let listeners: (() => void)[] = [];
  const tellOfChange = () => {
    const told = listeners;
    listeners = [];
    for (const listener of told) listener();
  };
  const createPage = ({ width, form }: PageList) =>
    form ? backend.pages!.create([pageRows, width], form) : backend.empty([pageRows, width]);
  /** Gives back pages, and what a failed `reserve` took of one. */
  const shrink = (to: number) => {
    if (to < pages) tellOfChange();
    for (const list of lists.flat()) for (const page of list.pages.splice(to)) backend.free(page);
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
      tellOfChange();
      const before = pages;
      try {
        for (; pages * pageRows < needed; pages++) {
          for (const list of lists.flat()) list.pages.push(createPage(list));
        }
      } catch (error) {
        shrink(before);
        throw error;
      }
    },
    beforePagesChange: (listener) => void listeners.push(listener),
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

/**
 * How the pages of blocks that round keys and values so, or not at all, hold them: in codes where the backend has such pages; in half precision, if
 * that is asked for, where nothing is rounded.
 */
export function cacheForms(
  { blocks }: ModelPlan,
  { pages }: Backend,
  roundings: readonly (KeyValueRounding | undefined)[],
  unrounded: 'f16' | 'f32',
): BlockForms[] {
  return blocks.map(({ attention: { keyValueHeads, headSize } }, i) => {
    const half = unrounded === 'f16' ? ({ keys: 'f16', values: 'f16' } as const) : {};
    const forms: BlockForms = roundings[i] ?? half;
    const rejected = Object.values(forms).some((form) => pages?.rejects(form, keyValueHeads * headSize) !== undefined);
    return !pages || rejected ? {} : forms;
  });
}

/** The pages of one block's keys, or values. */
interface PageList {
  readonly pages: DeviceTensor[];
  readonly width: number;
  readonly form: PageForm | undefined;
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
