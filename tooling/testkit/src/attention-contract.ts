import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AttentionOptions, Backend, DeviceTensor } from '../../../packages/kernels/src/index.js';
import type { Agrees } from './agrees.js';
import { opTolerances } from './tolerances.js';
import { values } from './values.js';

/** The attention part of the backend contract. `agrees` runs an op on the reference and on the backend: they differ by `limit` at most. */
export function attentionContract(agrees: Agrees, backends: () => readonly Backend[]): void {
  const size = (max: number) => fc.integer({ min: 1, max });

  it('attention: grouped heads, KV cache offset and pages, window, softcap', () => {
    const shape = fc.record({
      m: fc.oneof(size(5), size(90)),
      start: fc.oneof(fc.constant(0), fc.nat(600)),
      spare: fc.nat(3),
      pages: fc.oneof(fc.constant(1), size(7)),
      keyValueHeads: size(3),
      group: size(3),
      headSize: fc.constantFrom(2, 6, 16, 30, 64),
      window: fc.option(size(40), { nil: undefined }),
      softcap: fc.option(fc.constantFrom(1, 20), { nil: undefined }),
      seed: fc.nat(1000),
    });
    return fc.assert(
      fc.asyncProperty(shape, async ({ m, start, spare, pages, keyValueHeads, group, headSize, window, softcap, seed }) => {
        const heads = keyValueHeads * group;
        const pageRows = Math.ceil((start + m + spare) / pages);
        const keys = pages * pageRows;
        // what a page holds beyond them may be anything
        const held = (start + m) * keyValueHeads * headSize;
        const options: AttentionOptions = {
          ...{ heads, keyValueHeads, headSize, start, scale: 1 / Math.sqrt(headSize) },
          ...(window === undefined ? {} : { window }),
          ...(softcap === undefined ? {} : { softcap }),
        };
        return agrees(
          [
            [[m, heads * headSize], values(m * heads * headSize, seed, 3)],
            [[keys, keyValueHeads * headSize], values(keys * keyValueHeads * headSize, seed + 1).fill(Number.NaN, held)],
            [[keys, keyValueHeads * headSize], values(keys * keyValueHeads * headSize, seed + 2).fill(Number.NaN, held)],
          ],
          opTolerances.attention,
          (on, [q, ...whole]) => {
            const [k, v] = whole.map((tensor) =>
              Array.from({ length: pages }, (_, page) => on.ops.rows(tensor, page * pageRows, pageRows)),
            );
            return on.ops.attention(q!, k!, v!, options);
          },
        );
      }),
      { numRuns: 20, seed: 1 },
    );
  });

  it('attention of sequences one behind the other, some of which see what others give', () => {
    const sequence = fc.record({
      m: fc.oneof(size(5), size(60)),
      start: fc.nat(100),
      pages: size(4),
      window: fc.option(size(30), { nil: undefined }),
    });
    const shape = fc.record({
      each: fc.array(sequence, { minLength: 2, maxLength: 6 }),
      headSize: fc.constantFrom(6, 16, 64),
      seed: fc.nat(1000),
    });
    return fc.assert(
      fc.asyncProperty(shape, async ({ each, headSize, seed }) => {
        const [heads, keyValueHeads, spare] = [4, 2, 3];
        const rows = each.reduce((sum, { m }) => sum + m, 0);
        const most = Math.max(...each.map(({ m, start }) => start + m)) + spare;
        const of = (count: number, width: number, at: number): [number[], Float32Array] => [
          [count, width],
          values(count * width, seed + at, 3),
        ];
        return agrees(
          [of(rows, heads * headSize, 0), of(most, keyValueHeads * headSize, 1), of(most, keyValueHeads * headSize, 2)],
          opTolerances.attention,
          ({ ops }, [q, k, v]) => {
            const all = ops.rows(q!, 0, rows);
            const queries = each.map(({ m }, i) => ops.rows(q!, firstOf(each, i), m));
            const pages = each.map(({ m, start, pages }) => {
              const pageRows = Math.ceil((start + m) / pages);
              return [k!, v!].map((whole) =>
                Array.from({ length: pages }, (_, page) => ops.rows(whole, Math.min(page * pageRows, most - pageRows), pageRows)),
              );
            });
            const given: DeviceTensor[] = [];
            for (const [i, { start, window }] of each.entries()) {
              const options = { heads, keyValueHeads, headSize, start, scale: 0.2, ...(window === undefined ? {} : { window }) };
              // the last one asks with what the first was given
              const query = i === each.length - 1 && each[0]!.m === each[i]!.m ? given[0]! : queries[i]!;
              given.push(ops.attention(query, pages[i]![0]!, pages[i]![1]!, options));
            }
            for (const [i, output] of given.entries()) ops.store(all, output, firstOf(each, i));
            return all;
          },
        );
      }),
      { numRuns: 20, seed: 1 },
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('attention to a key with %f gives NaN where it is seen', async (odd) => {
    const options = { heads: 2, keyValueHeads: 1, headSize: 6, start: 0, scale: 1 };
    for (const m of [1, 3, 20]) {
      const keys = values((m + 2) * 6, 1);
      // the last one that only the last query sees
      keys[(m + 1) * 6 + 2] = odd;
      const inputs: [number[], Float32Array][] = [
        [[m, 12], values(m * 12, 2).map(Math.abs)],
        [[m + 2, 6], keys],
        [[m + 2, 6], values((m + 2) * 6, 3)],
      ];
      for (const on of backends()) {
        const [q, k, v] = inputs.map(([shape, data]) => on.upload(data, shape)) as [DeviceTensor, DeviceTensor, DeviceTensor];
        const got = on.step(() => on.ops.attention(q, [k], [v], { ...options, start: 2 }));
        const data = await on.download(got);
        for (const tensor of [q, k, v, got]) on.free(tensor);
        expect(data.findIndex(Number.isNaN)).toBe((m - 1) * 12);
        expect(data.subarray((m - 1) * 12).every(Number.isNaN)).toBe(true);
      }
    }
  });
}

function firstOf(each: readonly { readonly m: number }[], index: number): number {
  return each.slice(0, index).reduce((sum, { m }) => sum + m, 0);
}
