import { random } from '@fewbit/core';
import {
  createFormat,
  decodeMatrix,
  type FormatSpec,
  fitSearched,
  type Granularity,
  type NumericFormat,
  type Tile,
  tileGrid,
} from '@fewbit/formats';
import { fewbitError } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseOutliers, encodeBeside, leaveOut, outlierType, requireShare } from './index.js';
import { MaxHeap } from './max-heap.js';

const int3 = (granularity: Granularity): NumericFormat =>
  createFormat({ kind: 'int', bits: 3, scheme: 'asymmetric', granularity, scaleType: 'F32' });

function normal(rows: number, cols: number, seed: number) {
  const draw = random(seed);
  return { rows, cols, data: Float32Array.from({ length: rows * cols }, draw.normal) };
}

const granularities = fc.constantFrom<Granularity>(
  { kind: 'group', size: 8 },
  { kind: 'group', size: 7 },
  { kind: 'channel' },
  { kind: 'tensor' },
  { kind: 'block', rows: 2, cols: 5 },
  { kind: 'flat', size: 9 },
);
const problems = fc.record({
  granularity: granularities,
  rows: fc.integer({ min: 1, max: 7 }),
  cols: fc.integer({ min: 1, max: 40 }),
  seed: fc.nat(1000),
  share: fc.constantFrom(0.01, 0.1, 1),
});

/** Σ cost·(x − x̂)² over the weights that are not at `places`. */
function squaredError(weight: Tile, decoded: Float32Array, places: ArrayLike<number>, cost: Float64Array): number {
  const out = new Set(Array.from(places));
  return decoded.reduce((sum, y, at) => (out.has(at) ? sum : sum + cost[at % weight.cols]! * (weight.data[at]! - y) ** 2), 0);
}

describe('chooseOutliers', () => {
  it('chooses at most the share, and leaves less error than there was', () => {
    fc.assert(
      fc.property(problems, ({ granularity, rows, cols, seed, share }) => {
        const [weight, format] = [normal(rows, cols, seed), int3(granularity)];
        const cost = Float64Array.from({ length: cols }, (_, j) => 1 + (j % 5));
        const fit = (tile: Tile, importance?: Float32Array | Float64Array) => fitSearched(format, tile, importance ? { importance } : {});
        const search = { weight, format, share, fit, importance: cost, cost };
        const { places, params } = chooseOutliers(search);
        expect(places.length).toBeLessThanOrEqual(Math.round(share * rows * cols));
        expect([...places]).toEqual([...new Set(places)].sort((a, b) => a - b));
        const none = chooseOutliers({ ...search, share: 0 });
        expect(none.places.length).toBe(0);
        const before = squaredError(weight, decodeMatrix(encodeBeside(weight, format, none)).data, [], cost);
        const after = squaredError(weight, decodeMatrix(encodeBeside(weight, format, { places, params })).data, places, cost);
        expect(after).toBeLessThanOrEqual(before);
        expect(after < before || places.length === 0).toBe(true);
      }),
    );
  });

  it('fits each tile without those chosen of it', () => {
    fc.assert(
      fc.property(problems, ({ granularity, rows, cols, seed, share }) => {
        const [weight, format] = [normal(rows, cols, seed), int3(granularity)];
        const { places, params } = chooseOutliers({ weight, format, share, fit: (tile) => format.fit(tile) });
        const grid = tileGrid(format, rows, cols);
        const members = Array.from({ length: grid.count }, () => [] as number[]);
        const kept = new Set(places);
        for (let at = 0; at < rows * cols; at++) {
          const [row, col] = [Math.floor(at / cols), at % cols];
          const tile = grid.flat
            ? Math.floor(at / grid.tileCols)
            : Math.floor(row / grid.tileRows) * grid.across + Math.floor(col / grid.tileCols);
          if (!kept.has(at)) members[tile]!.push(weight.data[at]!);
        }
        const plain = members.map((values) =>
          format.fit({ rows: 1, cols: Math.max(1, values.length), data: Float32Array.from(values.length > 0 ? values : [0]) }),
        );
        expect(params).toEqual(plain);
      }),
    );
  });

  it('takes first what saves most: in each tile the farthest from its median, of all tiles that with the greatest saving', () => {
    const format = int3({ kind: 'group', size: 10 });
    for (let seed = 0; seed < 20; seed++) {
      const weight = normal(4, 20, seed);
      const savings = Array.from({ length: 8 }, (_, tile) => {
        const start = Math.floor(tile / 2) * 20 + (tile % 2) * 10;
        const data = weight.data.slice(start, start + 10);
        const median = data.toSorted()[5]!;
        const far = data.reduce((best, x, i) => (Math.abs(x - median) > Math.abs(data[best]! - median) ? i : best), 0);
        const error = (values: Float32Array) => {
          const params = format.fit({ rows: 1, cols: values.length, data: values });
          return values.reduce((sum, x) => sum + (x - format.decode(format.encode(x, params, 0), params, 0)) ** 2, 0);
        };
        return { place: start + far, saving: error(data) - error(data.filter((_, i) => i !== far)) };
      });
      const best = savings.toSorted((a, b) => b.saving - a.saving)[0]!;
      const { places } = chooseOutliers({ weight, format, share: 1 / 80, fit: (tile) => format.fit(tile) });
      expect([...places]).toEqual([best.place]);
    }
  });

  it('finds weights that stretch a grid, several to a wide tile', () => {
    const weight = normal(2, 1000, 1);
    const planted = [3, 500, 999, 1001, 1002, 1700];
    for (const [i, place] of planted.entries()) weight.data[place] = (i % 2 === 0 ? 1 : -1) * (30 + i);
    const format = int3({ kind: 'channel' });
    const { places } = chooseOutliers({ weight, format, share: 6 / 2000, fit: (tile) => format.fit(tile) });
    expect([...places]).toEqual(planted);
  });

  it('takes more weights of one tile at a time than a call has room for arguments', () => {
    const share = 0.2;
    const format = int3({ kind: 'tensor' });
    const { places } = chooseOutliers({ weight: normal(1300, 1000, 1), format, share, fit: (tile) => format.fit(tile) });
    expect(places.length).toBe(share * 1300 * 1000);
  });

  it('refuses blocks that are made of parts', () => {
    const format = createFormat({ kind: 'ggml', type: 'q4_k' } as FormatSpec);
    const search = { weight: normal(1, 256, 1), format, share: 0.01, fit: (tile: Tile) => format.fit(tile) };
    expect(() => chooseOutliers(search)).toThrow(fewbitError('unsupported', /q4_k has parts within its blocks/));
  });
});

it('what is kept is stored in half precision, or in float32 where that does not hold it', () => {
  expect(outlierType(Float32Array.of(1, -3e4))).toBe('F16');
  expect(outlierType(Float32Array.of(1, -4e4))).toBe('F32');
  expect(() => requireShare('RTN', 0.5)).toThrow(fewbitError('usage', /RTN's outliers is 0.5: use a share of the weights from 0 to 0.2/));
  expect(() => requireShare('RTN', Number.NaN)).toThrow(fewbitError('usage', /NaN/));
});

it('a tile of which all is left out is fitted as a zero', () => {
  expect(leaveOut({ rows: 1, cols: 2, data: Float32Array.of(1, 2) }, Float64Array.of(3, 4), [0, 1])).toEqual([
    { rows: 1, cols: 1, data: Float64Array.of(0) },
    Float64Array.of(1),
  ]);
});

it('MaxHeap knows the greatest after every change', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 30 }), fc.array(fc.nat(20), { maxLength: 40 }), (keys, changes) => {
      const heap = new MaxHeap(Float64Array.from(keys));
      const plain = [...keys];
      for (const change of changes) {
        expect(heap.max).toBe(Math.max(...plain));
        expect(plain[heap.top]).toBe(heap.max);
        plain[heap.top] = change;
        heap.replaceTop(change);
      }
    }),
  );
  expect(new MaxHeap(new Float64Array(0)).max).toBe(Number.NEGATIVE_INFINITY);
});
