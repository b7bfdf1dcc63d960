import { random } from '@fewbit/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FitSearchedOptions, fitSearched, type IntParams, type IntSpec, intFormat, type NumericFormat, type Tile } from './index.js';

const spec = (changes: Partial<IntSpec> = {}): IntSpec => ({
  kind: 'int',
  bits: 3,
  scheme: 'symmetric-full',
  granularity: { kind: 'channel' },
  scaleType: 'F32',
  ...changes,
});

type FloatTile = Tile & { readonly data: Float32Array };

function normal(rows: number, cols: number, seed: number): FloatTile {
  const draw = random(seed);
  return { rows, cols, data: Float32Array.from({ length: rows * cols }, () => draw.normal()) };
}

/** Σ importance·|x − x̂|^norm, written plainly. */
function error(format: NumericFormat<IntParams>, tile: FloatTile, params: IntParams, { importance, norm = 2.4 }: FitSearchedOptions) {
  return tile.data.reduce((sum, x, at) => {
    const d = Math.abs(x - format.decode(format.encode(x, params, at), params, at));
    return sum + (importance?.[at % tile.cols] ?? 1) * d ** norm;
  }, 0);
}

describe('fitSearched', () => {
  it('finds the best of all candidates', () => {
    const cases = fc.record({
      rows: fc.integer({ min: 1, max: 3 }),
      cols: fc.integer({ min: 1, max: 24 }),
      seed: fc.integer(),
      norm: fc.constantFrom(1, 2, 2.4),
      weighted: fc.boolean(),
      bits: fc.constantFrom(2, 3, 4),
      scheme: fc.constantFrom('symmetric-full', 'asymmetric', 'symmetric-signed'),
    });
    fc.assert(
      fc.property(cases, ({ rows, cols, seed, norm, weighted, bits, scheme }) => {
        const format = intFormat(spec({ bits, scheme }));
        const tile = normal(rows, cols, seed);
        const draw = random(seed ^ 1);
        const importance = Float32Array.from({ length: cols }, () => draw.uniform());
        const options = { norm, candidates: 40, minShrink: 0.3, ...(weighted ? { importance } : {}) };
        const found = error(format, tile, fitSearched(format, tile, options), options);
        const all = Array.from({ length: 40 }, (_, i) => error(format, tile, format.fit(tile, 1 - (i * 0.7) / 40), options));
        // sums run in another order
        expect(found).toBeLessThanOrEqual(Math.min(...all) * (1 + 1e-12));
      }),
    );
  });

  it('clips the tail of few bits, and cares for what is important', () => {
    const format = intFormat(spec({ bits: 2 }));
    const tile = normal(1, 128, 7);
    const outlier = tile.data.reduce((best, x, i) => (Math.abs(x) > Math.abs(tile.data[best]!) ? i : best), 0);
    const plain = fitSearched(format, tile);
    expect(plain.scale).toBeLessThan(0.8 * format.fit(tile).scale);
    const importance = new Float32Array(128).fill(1e-6);
    importance[outlier] = 1;
    const careful = fitSearched(format, tile, { importance });
    const miss = (params: IntParams) =>
      Math.abs(tile.data[outlier]! - format.decode(format.encode(tile.data[outlier]!, params, 0), params, 0));
    expect(miss(careful)).toBeLessThan(miss(plain));
  });

  it('defaults to the published norm without importance, to squares with it', () => {
    const format = intFormat(spec());
    const importance = new Float32Array(64).fill(1);
    const differs = [1, 2, 3, 4, 5, 6, 7, 8].some((seed) => {
      const tile = normal(1, 64, seed);
      expect(fitSearched(format, tile)).toEqual(fitSearched(format, tile, { norm: 2.4 }));
      expect(fitSearched(format, tile, { importance })).toEqual(fitSearched(format, tile, { norm: 2 }));
      return fitSearched(format, tile).scale !== fitSearched(format, tile, { importance }).scale;
    });
    expect(differs).toBe(true);
  });

  it('leaves a tile that is exact as it is', () => {
    const format = intFormat(spec({ scheme: 'asymmetric' }));
    const tile = { rows: 1, cols: 3, data: Float32Array.of(0, 0, 0) };
    expect(fitSearched(format, tile)).toEqual(format.fit(tile));
  });

  it('refuses options out of range', () => {
    const format = intFormat(spec());
    const tile = normal(1, 4, 1);
    expect(() => fitSearched(format, tile, { importance: new Float32Array(3) })).toThrow(/4 columns, but importance has 3/);
    expect(() => fitSearched(format, tile, { candidates: 0 })).toThrow(/candidates is 0/);
    expect(() => fitSearched(format, tile, { minShrink: 0 })).toThrow(/minShrink is 0/);
    expect(() => fitSearched(format, tile, { norm: -1 })).toThrow(/norm is -1/);
  });
});
