import fc from 'fast-check';
import { it } from 'vitest';
import type { Draw } from '../../../packages/kernels/src/index.js';
import type { Agrees } from './agrees.js';
import { values } from './values.js';

const draw = fc
  .record({
    uniform: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    temperature: fc.oneof(fc.constant(0), fc.double({ min: 0.05, max: 3, noNaN: true })),
    topK: fc.option(fc.integer({ min: 1, max: 4000 }), { nil: undefined }),
    topP: fc.option(fc.double({ min: 0.01, max: 1, noNaN: true }), { nil: undefined }),
    minP: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
  })
  .map((fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as unknown as Draw);

/** What logits may be beside ordinary numbers: equals, both zeros, masked tokens, and what makes a row NaN. */
const kinds: Readonly<Record<string, (logit: number, place: number) => number>> = {
  'flat and steep rows': (logit) => logit,
  'many equals': (logit) => Math.round(logit),
  'both zeros': (logit) => (logit > 0.1 ? 0 : -0),
  'masked tokens': (logit) => (logit > 0.3 ? Number.NEGATIVE_INFINITY : logit),
  'nothing but masked tokens': () => Number.NEGATIVE_INFINITY,
  NaN: (logit, place) => (place % 500 === 7 ? Number.NaN : logit),
  infinity: (logit, place) => (place % 500 === 7 ? Number.POSITIVE_INFINITY : logit),
};

/** `agrees` runs an op on the reference and on the backend: the same tokens. Float32 weights differ by 1e-7, which parts draws one in millions. */
export function samplingContract(agrees: Agrees): void {
  it.each(Object.entries(kinds))('sample: %s', (_, change) =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          draws: fc.array(draw, { minLength: 1, maxLength: 6 }),
          n: fc.integer({ min: 1, max: 3000 }),
          spread: fc.constantFrom(0.3, 3, 30),
          seed: fc.nat(1000),
        }),
        ({ draws, n, spread, seed }) => {
          const logits = values(draws.length * n, seed, spread).map(change);
          return agrees([[[draws.length, n], logits]], 0, (on, [rows]) => on.ops.sample(rows!, draws));
        },
      ),
      { numRuns: 40, seed: 5 },
    ),
  );
}
