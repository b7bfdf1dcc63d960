import { weightError } from '@fewbit/algorithm';
import { gather, meanSquare } from '@fewbit/calibration';
import { type Matrix, matrix, roundTo } from '@fewbit/core';
import { createFormat, decodeMatrix, encodeMatrix, type FormatSpec, type Granularity, tileGrid, tileIndex } from '@fewbit/formats';
import { referenceAlgebra as algebra } from '@fewbit/kernels';
import { fewbitError } from '@fewbit/testkit';
import { values } from '@fewbit/testkit/values';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest, type RtnOptions, rtn } from './index.js';

const shape = fc.record({
  rows: fc.integer({ min: 1, max: 9 }),
  cols: fc.integer({ min: 1, max: 40 }),
  bits: fc.constantFrom(2, 3, 4, 8),
  scheme: fc.constantFrom('symmetric-full', 'asymmetric'),
  granularity: fc.constantFrom<Granularity>(
    { kind: 'channel' },
    { kind: 'tensor' },
    { kind: 'group', size: 16 },
    { kind: 'group', size: 7 },
  ),
  seed: fc.nat(1000),
});
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

async function solve(weight: Matrix, spec: FormatSpec, options: RtnOptions = {}, input?: Matrix) {
  const solver = nearest(options);
  const site = gather(solver.needs, weight.cols, algebra);
  if (input) site.add({ input });
  return (await solver.solve({ name: 'a.weight', weight, format: createFormat(spec), input: site.measured(), algebra, seed: 0 })).matrix;
}

const property = (holds: (weight: Matrix, spec: FormatSpec, shape: Shape) => Promise<void>) =>
  fc.assert(
    fc.asyncProperty(shape, ({ rows, cols, bits, scheme, granularity, seed }) => {
      const spec = { kind: 'int', bits, scheme, granularity, scaleType: 'F32' } as FormatSpec;
      return holds(matrix(rows, cols, values(rows * cols, seed)), spec, { rows, cols, bits, scheme, granularity, seed } as Shape);
    }),
    { numRuns: 60, seed: 4 },
  );

describe('rtn', () => {
  it('is one solver without transforms, that needs inputs only to weigh errors by them', () => {
    expect(rtn()).toMatchObject({ id: 'rtn', transforms: [], solver: { id: 'nearest', needs: [] } });
    expect(rtn({ clip: 'plain' }).solver.needs).toEqual([]);
    expect(rtn({ clip: 'hessian' }).solver.needs.map(({ id }) => id)).toEqual([meanSquare().id]);
    expect(rtn({ outliers: 0.01 }).solver.outliers).toBe(0.01);
    expect(rtn({ outliers: 0 }).solver).not.toHaveProperty('outliers');
    expect(() => rtn({ outliers: -1 })).toThrow(fewbitError('usage', /RTN's outliers is -1/));
    expect(() => rtn({ clip: 'best' as 'plain' })).toThrow(fewbitError('usage', /clip 'best' is not known: take off, plain or hessian/));
  });

  it('takes the nearest level of the range that holds every weight', () =>
    property(async (weight, spec) => {
      const got = await solve(weight, spec);
      expect(got).toEqual(encodeMatrix(weight, createFormat(spec)));
      expect(await solve(decodeMatrix(got), spec)).toMatchObject({ rows: weight.rows });
    }));

  it('keeps outliers as they are, in half precision, and errs less by them', () =>
    property(async (weight, spec) => {
      const format = createFormat(spec);
      for (const clip of ['off', 'plain'] as const) {
        const plain = await solve(weight, spec, { clip });
        const { outliers, ...codes } = await solve(weight, spec, { clip, outliers: 0.1 });
        expect(outliers === undefined ? 0 : outliers.columns.length).toBeLessThanOrEqual(Math.round(0.1 * weight.data.length));
        if (!outliers) continue;
        const decoded = decodeMatrix({ ...codes, outliers });
        for (let row = 0; row < weight.rows; row++) {
          for (let i = outliers.starts[row]!; i < outliers.starts[row + 1]!; i++) {
            const at = row * weight.cols + outliers.columns[i]!;
            expect(decoded.data[at]).toBe(roundTo('F16', weight.data[at]!));
            const params = codes.params.at(tileIndex(tileGrid(format, weight.rows, weight.cols), row, outliers.columns[i]!));
            expect(codes.codes[at]).toBe(format.encode(0, params, 0));
          }
        }
        // choosing weighs squares; the plain search weighs another power
        if (clip === 'off') expect(weightError(weight, decoded)).toBeLessThan(weightError(weight, decodeMatrix(plain)));
      }
    }));

  it('a searched range is never worse in what it is searched for', () =>
    property(async (weight, spec, { cols, seed }) => {
      const off = decodeMatrix(await solve(weight, spec));
      const error = (found: Matrix, importance: (col: number) => number, power: number) =>
        weight.data.reduce((sum, value, i) => sum + importance(i % cols) * Math.abs(value - found.data[i]!) ** power, 0);
      const plain = decodeMatrix(await solve(weight, spec, { clip: 'plain' }));
      expect(error(plain, () => 1, 2.4)).toBeLessThanOrEqual(error(off, () => 1, 2.4) * (1 + 1e-9));

      const input = matrix(
        20,
        cols,
        values(20 * cols, seed + 1).map((value, i) => value * (1 + (i % cols))),
      ); // prettier-ignore
      const power = Array.from({ length: cols }, (_, j) => input.data.reduce((sum, x, i) => sum + (i % cols === j ? x * x : 0), 0));
      const weighted = decodeMatrix(await solve(weight, spec, { clip: 'hessian' }, input));
      expect(error(weighted, (j) => power[j]!, 2)).toBeLessThanOrEqual(error(off, (j) => power[j]!, 2) * (1 + 1e-6));
    }));

  it('more bits, less error', async () => {
    const weight = matrix(16, 64, values(1024, 7));
    const errors = await Promise.all(
      ([2, 3, 4, 5, 6, 7, 8] as const).map(async (bits) => {
        const spec: FormatSpec = { kind: 'int', bits, scheme: 'asymmetric', granularity: { kind: 'group', size: 32 }, scaleType: 'F32' };
        return weightError(weight, decodeMatrix(await solve(weight, spec)));
      }),
    );
    for (let i = 1; i < errors.length; i++) expect(errors[i]!).toBeLessThan(errors[i - 1]! / 3);
  });

  it('NaN and Inf name the weight', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const weight = matrix(2, 8, values(16, 1));
      weight.data[9] = bad;
      const spec: FormatSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'channel' }, scaleType: 'F32' };
      await expect(solve(weight, spec)).rejects.toThrow(fewbitError('numeric', /weight of a\.weight holds NaN or Inf/));
    }
  });
});
