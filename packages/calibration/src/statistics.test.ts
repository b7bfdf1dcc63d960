import { type Matrix, matrix, random } from '@fewbit/core';
import type { Algebra } from '@fewbit/kernels';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { absMax, absMean, crossGram, gather, gram, meanSquare, type SiteSample } from './index.js';

/** The one function that statistics use, in double. */
const algebra = {
  gram(x: Matrix, y: Matrix, into: Float64Array) {
    for (let t = 0; t < x.rows; t++) {
      for (let i = 0; i < x.cols; i++) {
        for (let j = 0; j < y.cols; j++) into[i * y.cols + j]! += x.data[t * x.cols + i]! * y.data[t * y.cols + j]!;
      }
    }
  },
} as Algebra;

function samples(seed: number, tokens: readonly number[], columns: number): Required<SiteSample>[] {
  const draw = random(seed);
  const values = (rows: number) =>
    matrix(
      rows,
      columns,
      Float32Array.from({ length: rows * columns }, () => draw.normal() * Math.exp(draw.normal())),
    );
  return tokens.map((rows) => ({ input: values(rows), floatInput: values(rows) }));
}

const rowsOf = ({ rows, cols, data }: Matrix) =>
  Array.from({ length: rows }, (_, t) => Array.from(data.subarray(t * cols, (t + 1) * cols)));

/** E[w·a·bᵀ] written out, w = 1 or 1/‖b‖². */
function moments(pairs: readonly [number[], number[]][], equal: boolean): number[] {
  const n = pairs[0]![1].length;
  const out = new Array<number>(n * n).fill(0);
  for (const [a, b] of pairs) {
    const weight = equal ? 1 / b.reduce((sum, x) => sum + x * x, 0) : 1;
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) out[i * n + j]! += (weight * a[i]! * b[j]!) / pairs.length;
  }
  return out;
}

function closeTo(actual: Float64Array, expected: readonly number[]) {
  const scale = Math.max(...expected.map(Math.abs));
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-5 * scale);
}

describe('grams', () => {
  it('are means over all tokens, weighted alike in both streams', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 6 }),
        (seed, tokens, columns) => {
          const list = samples(seed, tokens, columns);
          for (const tokenWeight of ['none', 'equal'] as const) {
            const [h, c] = [gram({ tokenWeight }), crossGram({ tokenWeight })];
            const site = gather([h, c], columns, algebra);
            expect(site.needsFloat).toBe(true);
            for (const sample of list) site.add(sample);
            const quantized = list.flatMap(({ input }) => rowsOf(input));
            const float = list.flatMap(({ floatInput }) => rowsOf(floatInput));
            closeTo(
              site.measured().get(h),
              moments(
                quantized.map((x) => [x, x]),
                tokenWeight === 'equal',
              ),
            );
            closeTo(
              site.measured().get(c),
              moments(
                quantized.map((x, t) => [float[t]!, x]),
                tokenWeight === 'equal',
              ),
            );
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('coincide when the streams do, and skip tokens of zero input', () => {
    const [first] = samples(3, [5], 4);
    first!.input.data.fill(0, 0, 4);
    const statistics = [gram({ tokenWeight: 'equal' }), crossGram({ tokenWeight: 'equal' })] as const;
    const site = gather(statistics, 4, algebra);
    site.add({ input: first!.input, floatInput: first!.input });
    const [h, c] = statistics.map((statistic) => site.measured().get(statistic));
    expect(c).toEqual(h);
    const trace = h![0]! + h![5]! + h![10]! + h![15]!;
    expect(trace).toBeCloseTo(4 / 5, 6); // four of five tokens count 1 each
  });
});

it('grams say their bytes and their work', () => {
  for (const [statistic, work] of [
    [gram(), 55],
    [crossGram({ tokenWeight: 'equal' }), 100],
  ] as const) {
    expect(statistic.bytes!(10)).toBe(2 * 100 * 8);
    expect(statistic.work!(10)).toBe(work);
  }
});

it('measures magnitudes per feature', () => {
  const site = gather([absMax(), absMean(), meanSquare()], 2, algebra);
  expect(site.needsFloat).toBe(false);
  site.add({ input: matrix(2, 2, Float32Array.of(1, -2, -3, 0)) });
  site.add({ input: matrix(1, 2, Float32Array.of(2, 1)) });
  const measured = site.measured();
  expect([...measured.get(absMax())]).toEqual([3, 2]);
  expect([...measured.get(absMean())]).toEqual([2, 1]);
  expect([...measured.get(meanSquare())]).toEqual([14 / 3, 5 / 3]);
});

describe('gather', () => {
  it('gathers each id once and gives the same result object each time', () => {
    let started = 0;
    const counted: ReturnType<typeof absMax> = {
      ...absMax(),
      start(columns, algebra) {
        started++;
        return absMax().start(columns, algebra);
      },
    };
    const site = gather([counted, counted, absMax()], 3, algebra);
    expect(started).toBe(1);
    const measured = site.measured();
    expect(measured.get(absMax())).toBe(measured.get(counted));
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %s in either stream', (bad) => {
    for (const stream of ['input', 'floatInput'] as const) {
      const [sample] = samples(1, [3], 4);
      sample![stream].data[6] = bad;
      for (const statistic of stream === 'input' ? [gram(), gram({ tokenWeight: 'equal' }), crossGram(), absMax()] : [crossGram()]) {
        expect(() => gather([statistic], 4, algebra).add(sample!)).toThrow(
          expect.objectContaining({ code: 'numeric', message: expect.stringMatching(/token 1, feature 2/) }),
        );
      }
    }
  });

  it('refuses what was not declared or does not fit', () => {
    const site = gather([gram()], 4, algebra);
    expect(() => site.measured().get(absMax())).toThrow(/'abs-max' was not gathered here \(gram:none\)/);
    expect(() => site.add({ input: matrix(2, 3) })).toThrow(/4 features, the sample 3/);
    expect(() => gather([crossGram()], 4, algebra).add({ input: matrix(2, 4) })).toThrow(/untouched model's input/);
  });
});
