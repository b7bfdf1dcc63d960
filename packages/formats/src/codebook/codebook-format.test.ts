import { random } from '@fewbit/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, floatsOf, numbers } from '../../golden/numbers.js';
import {
  type AbsmaxParams,
  type CodebookSpec,
  createFormat,
  decodeMatrix,
  dynamicMap,
  encodeMatrix,
  type FittedParams,
  type FormatSpec,
  fitMatrix,
  fitSearched,
  formatName,
  kMeans,
  levelTables,
  type NestedParams,
  type NumericFormat,
  nestAbsmaxes,
} from '../index.js';

const spec = (kind: 'nf4' | 'fp4', size: number, nested = false): CodebookSpec => ({
  kind: 'codebook',
  levels: kind === 'nf4' ? 'nf4' : 'bnb-fp4',
  bits: 4,
  granularity: { kind: 'flat', size },
  scaleType: 'F32',
  ...(nested && { nested }),
});
const plain = numbers.blockwise.filter(({ decoded }) => decoded);
const nested = numbers.blockwise.filter(({ nestedAbsmax }) => nestedAbsmax);

describe('bitsandbytes', () => {
  it('has these lists of levels, and this dynamic map', () => {
    for (const { kind, levels } of numbers.blockwise)
      expect([...levelTables[kind === 'nf4' ? 'nf4' : 'bnb-fp4']]).toEqual([...floatsOf(levels)]);
    expect([...dynamicMap]).toEqual([...floatsOf(numbers.dynamicMap)]);
  });

  it.each(plain.map((vector) => [vector.kind, vector.size, vector] as const))(
    '%s in blocks of %d: codes, absmaxes, values',
    (kind, size, vector) => {
      const { rows, cols } = vector;
      const matrix = encodeMatrix(
        { rows, cols, data: floatsOf(vector.weight) },
        createFormat(spec(kind, size)) as NumericFormat<AbsmaxParams>,
      );
      expect(matrix.params.map(({ scale }) => scale)).toEqual([...floatsOf(vector.absmax)]);
      expect([...matrix.codes]).toEqual([...bytesOf(vector.codes)]);
      expect([...decodeMatrix(matrix).data]).toEqual([...floatsOf(vector.decoded!)]);
    },
  );

  it.each(nested.map((vector) => [vector.kind, vector.size, vector] as const))(
    '%s in blocks of %d with nested absmaxes',
    (kind, size, vector) => {
      const weight = { rows: vector.rows, cols: vector.cols, data: floatsOf(vector.weight) };
      const unnested = fitMatrix(weight, createFormat(spec(kind, size)) as NumericFormat<AbsmaxParams>);
      const format = createFormat(spec(kind, size, true)) as NumericFormat<NestedParams>;
      // the package rounds weights by the absmaxes as they were
      const first = encodeMatrix(weight, format);
      expect([...first.codes]).toEqual([...bytesOf(vector.codes)]);
      const settled = nestAbsmaxes(
        unnested.map(({ scale }) => scale),
        vector.offset!,
      );
      expect([...new Set(settled.map(({ blockAbsmax }) => blockAbsmax))]).toEqual([...floatsOf(vector.nestedAbsmax!)]);
      const theirs = [...bytesOf(vector.absmax)];
      for (const [tile, { code, scale, blockAbsmax }] of settled.entries()) {
        if (code === theirs[tile]) {
          expect(scale).toBe(floatsOf(vector.decodedAbsmax!)[tile]);
          continue;
        }
        // its table of 65536 places misses the nearest entry only beside a half
        const x = (unnested[tile]!.scale - vector.offset!) / blockAbsmax;
        expect(Math.abs(x - (dynamicMap[code]! + dynamicMap[theirs[tile]!]!) / 2)).toBeLessThan(1 / 65535);
      }
      // torch sums in float32
      const offset = (format.settle!(unnested as readonly NestedParams[], undefined as never)[0] as NestedParams).offset;
      expect(Math.abs(offset / vector.offset! - 1)).toBeLessThan(1e-6);
    },
  );
});

/** The least cost over all ways to cut the sorted values into k runs. */
function exhaustive(values: readonly number[], weights: readonly number[], k: number): number {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const cost = (run: number[]) => {
    const weight = run.reduce((sum, i) => sum + weights[i]!, 0);
    const mean = run.reduce((sum, i) => sum + weights[i]! * values[i]!, 0) / weight;
    return weight > 0 ? run.reduce((sum, i) => sum + weights[i]! * (values[i]! - mean) ** 2, 0) : 0;
  };
  const best = (from: number, runs: number): number => {
    if (runs === 1) return cost(order.slice(from));
    let least = Number.POSITIVE_INFINITY;
    for (let end = from; end <= order.length; end++)
      least = Math.min(least, (end > from ? cost(order.slice(from, end)) : 0) + (end < order.length ? best(end, runs - 1) : 0));
    return least;
  };
  return best(0, k);
}

describe('fitted codebooks', () => {
  it('are the best there are', () => {
    const cases = fc.array(fc.record({ value: fc.integer({ min: -20, max: 20 }), weight: fc.constantFrom(0, 0.1, 1, 5) }), {
      minLength: 1,
      maxLength: 9,
    });
    fc.assert(
      fc.property(cases, fc.integer({ min: 1, max: 4 }), (items, k) => {
        const values = items.map(({ value }) => value / 7);
        const given = items.map(({ weight }) => weight);
        const weights = given.some((w) => w > 0) ? given : given.map(() => 1);
        const centres = kMeans({ rows: 1, cols: values.length, data: Float64Array.from(values) }, k, Float64Array.from(given));
        const nearest = (x: number) => centres.reduce((least, c) => Math.min(least, (x - c) ** 2), Number.POSITIVE_INFINITY);
        const cost = values.reduce((sum, x, i) => sum + weights[i]! * nearest(x), 0);
        expect(cost).toBeCloseTo(exhaustive(values, weights, k), 9);
        expect(centres.length).toBeLessThanOrEqual(k);
      }),
    );
  });

  it('hold any tile of as few values as levels, and improve on a fixed list where there are more', () => {
    const format = createFormat({
      kind: 'codebook',
      levels: 'fitted',
      bits: 2,
      granularity: { kind: 'channel' },
      scaleType: 'F16',
    }) as NumericFormat<FittedParams>;
    const weight = { rows: 2, cols: 6, data: Float32Array.of(1, -2, 0.5, 1, 0.5, -2, 0, 0, 0, 0, 0, 0) };
    expect(decodeMatrix(encodeMatrix(weight, format)).data).toEqual(weight.data);

    const { normal } = random(4);
    const long = { rows: 1, cols: 512, data: Float32Array.from({ length: 512 }, normal) };
    const error = (spec: FormatSpec) => {
      const { data } = decodeMatrix(encodeMatrix(long, createFormat(spec)));
      return data.reduce((sum, x, i) => sum + (x - long.data[i]!) ** 2, 0);
    };
    const fitted: FormatSpec = { kind: 'codebook', levels: 'fitted', bits: 4, granularity: { kind: 'channel' }, scaleType: 'F16' };
    expect(error(fitted)).toBeLessThan(0.8 * error({ ...fitted, levels: 'nf4' }));
  });

  it('lean to what matters', () => {
    const format = createFormat({
      kind: 'codebook',
      levels: 'fitted',
      bits: 2,
      granularity: { kind: 'channel' },
      scaleType: 'F32',
    }) as NumericFormat<FittedParams>;
    const tile = { rows: 1, cols: 6, data: Float32Array.of(-3, -2, -1, 1, 2, 3) };
    expect([...fitSearched(format, tile, { importance: Float64Array.of(1, 1, 1, 0, 0, 0) }).levels]).toEqual([-3, -2, -1, -1]);
  });
});

it('names its formats', () => {
  const names = [
    spec('nf4', 64),
    spec('fp4', 32, true),
    { ...spec('nf4', 64), levels: 'fitted', bits: 3, granularity: { kind: 'channel' } },
  ];
  expect(names.map((name) => formatName(name as FormatSpec))).toEqual(['nf4 flat64', 'bnb-fp4 flat32 nested', 'codebook3 channel']);
  expect(() => createFormat({ ...spec('nf4', 64), bits: 3 })).toThrow(/bits is 3; use one of 4/);
  expect(() => createFormat({ ...spec('nf4', 64), nested: true, scaleType: 'F16' })).toThrow(/nested goes with/);
});
