import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadAddon } from './cpu-probe.js';
import { type NativeArray, nativeHeap } from './native-heap.js';

const addon = await loadAddon();

describe.skipIf(typeof addon === 'string')('the native heap', () => {
  it('gives blocks of the length asked for that do not overlap, and uses freed ones again', () => {
    const heap = nativeHeap(addon as Exclude<typeof addon, string>, () => undefined);
    const sizes = fc.array(fc.record({ length: fc.nat(100_000), keep: fc.boolean() }), { maxLength: 40 });
    fc.assert(
      fc.property(sizes, (blocks) => {
        const kept: { data: NativeArray; mark: number }[] = [];
        for (const [mark, { length, keep }] of blocks.entries()) {
          const data = heap.take(length);
          data.fill(mark);
          expect(data.length).toBe(length);
          if (keep) kept.push({ data, mark });
          else heap.release(data);
        }
        for (const { data, mark } of kept) {
          expect(data.every((value) => value === mark)).toBe(true);
          heap.release(data);
        }
      }),
      { numRuns: 50, seed: 1 },
    );
    const first = heap.take(1000);
    heap.release(first);
    expect(heap.take(1001).buffer).toBe(first.buffer);
  });
});
