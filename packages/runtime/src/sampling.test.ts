import { fewbitError } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SamplingOptions, sampler } from './sampling.js';

const logits = fc
  .array(fc.double({ min: -8, max: 8, noNaN: true }), { minLength: 1, maxLength: 40 })
  .map((values) => Float32Array.from(values));
const options = fc.record({
  temperature: fc.double({ min: 0.05, max: 3, noNaN: true }),
  topK: fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined }),
  topP: fc.option(fc.double({ min: 0.01, max: 1, noNaN: true }), { nil: undefined }),
  minP: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
  seed: fc.nat(1000),
});
const property = <T extends [unknown, ...unknown[]]>(arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> }, holds: (...values: T) => void) =>
  fc.assert(fc.property(...arbitraries, holds), { numRuns: 200, seed: 4 });
/** Tokens drawn 50 times, as options with `undefined` left out. */
function drawn(row: Float32Array, { ...choice }: { [K in keyof SamplingOptions]: SamplingOptions[K] | undefined }): number[] {
  const given = Object.fromEntries(Object.entries(choice).filter(([, value]) => value !== undefined)) as SamplingOptions;
  const sample = sampler(given);
  return Array.from({ length: 50 }, () => sample(row));
}
/** Tokens by falling probability at a temperature. */
function ranked(row: Float32Array, temperature: number): { token: number; probability: number }[] {
  const weights = Array.from(row, (logit) => Math.exp((logit - Math.max(...row)) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight);
  return weights
    .map((weight, token) => ({ token, probability: weight / total }))
    .sort((a, b) => row[b.token]! - row[a.token]! || a.token - b.token);
}

describe('sampler', () => {
  it('takes the first of the likeliest without temperature', () => {
    property([logits], (row) => {
      const first = row.indexOf(Math.max(...row));
      expect(drawn(row, {})).toEqual(new Array(50).fill(first));
      expect(drawn(row, { temperature: 1, topK: 1 })).toEqual(new Array(50).fill(first));
    });
  });

  it('draws the same with the same seed', () => {
    property([logits, options], (row, choice) => {
      expect(drawn(row, choice)).toEqual(drawn(row, choice));
    });
    const even = new Float32Array(100);
    expect(drawn(even, { temperature: 1, seed: 1 })).not.toEqual(drawn(even, { temperature: 1, seed: 2 }));
  });

  it('never leaves what the filters keep', () => {
    property([logits, options], (row, choice) => {
      const order = ranked(row, choice.temperature);
      let kept = order.slice(0, choice.topK);
      if (choice.topP !== undefined) {
        // the fewest that hold topP of what is left; the sum of floats decides only within 1e-9
        const all = kept.reduce((sum, { probability }) => sum + probability, 0);
        let before = 0;
        kept = kept.filter(({ probability }) => {
          const needed = before < choice.topP! * all + 1e-9;
          before += probability;
          return needed;
        });
      }
      if (choice.minP !== undefined) kept = kept.filter(({ probability }) => probability >= choice.minP! * order[0]!.probability - 1e-9);
      const allowed = new Set(kept.map(({ token }) => token));
      for (const token of drawn(row, choice)) expect(allowed).toContain(token);
    });
  });

  it('draws as often as softmax says', () => {
    const row = Float32Array.of(2, 1, 0, -1, -9);
    for (const temperature of [0.5, 1, 2]) {
      const sample = sampler({ temperature, seed: 3 });
      const counts = new Float64Array(row.length);
      for (let i = 0; i < 20_000; i++) counts[sample(row)]!++;
      // five standard errors of a share of 20 000 draws are at most 0.018
      for (const { token, probability } of ranked(row, temperature))
        expect(Math.abs(counts[token]! / 20_000 - probability)).toBeLessThan(0.018);
    }
  });

  it('takes logits of any size, and minus infinity', () => {
    expect(drawn(Float32Array.of(-1e30, 3e38, 1e30), { temperature: 0.01 })).toEqual(new Array(50).fill(1));
    expect(new Set(drawn(Float32Array.of(Number.NEGATIVE_INFINITY, 0, 0), { temperature: 1 }))).toEqual(new Set([1, 2]));
  });

  it.each<[keyof SamplingOptions, number[]]>([
    ['temperature', [-1, Number.NaN, Number.POSITIVE_INFINITY]],
    ['topK', [0, -1, 1.5, Number.NaN]],
    ['topP', [0, -0.1, 1.1, Number.NaN]],
    ['minP', [-0.1, 1.1, Number.NaN]],
  ])('refuses %s out of range', (name, values) => {
    for (const value of values)
      expect(() => sampler({ [name]: value })).toThrow(fewbitError('usage', new RegExp(`^${name} must be .*, got ${value}`)));
  });
});
