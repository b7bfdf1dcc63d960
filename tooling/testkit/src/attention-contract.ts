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
