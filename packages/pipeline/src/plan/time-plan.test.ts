import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { compressedTensors, formatName, type IntSpec } from '@fewbit/formats';
import { gptq } from '@fewbit/gptq';
import { referenceBackend } from '@fewbit/kernels';
import { linears, planModel } from '@fewbit/models';
import { rtn } from '@fewbit/rtn';
import { goldenModel, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { checkQuantize, type Progress, type QuantizeOptions, quantize, type Rates } from '../index.js';
import { quickest, rateOf } from './stopwatch.js';

const root = temporaryFolder();
const format: IntSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 16 }, scaleType: 'F32' };
const windows = Array.from({ length: 3 }, (_, w) => Uint32Array.from({ length: 20 }, (_, i) => (w * 31 + i * i * 7 + 3) % 64));
const golden = goldenModel('llama');
const plan = planModel(golden.config());
const job = (options: Partial<QuantizeOptions> = {}): QuantizeOptions => ({
  ...{ model: golden.folder, output: join(mkdtempSync(join(root, 'case-')), 'out'), method: rtn(), format, layout: compressedTensors },
  ...{ backend: referenceBackend(), calibration: { source: 'numbers', fingerprint: 'x', windows } },
  ...options,
});

/** All that is not asked about takes no time. */
const free: Rates = {
  ...{ product: Infinity, attention: Infinity, elementwise: Infinity, factoring: Infinity, algebra: Infinity, reading: Infinity },
  statistics: { 'gram:none': Infinity, 'cross-gram:none': Infinity },
  rounding: { [formatName(format)]: { weights: Infinity, squares: Infinity } },
};
const timeOf = async (rates: Partial<Rates>, options: Partial<QuantizeOptions> = {}) =>
  (await checkQuantize(job({ rates: { ...free, ...rates }, ...options }))).time!;

const sizes = linears(plan).map(({ rows, cols }) => rows * cols);
const weights = sizes.reduce((sum, size) => sum + size, 0);
const table = plan.vocabulary * plan.hidden;
const tables = table * (plan.head.tied ? 1 : 2);
const last = plan.blocks.at(-1)!.mlp.down;
const sitesOf = (value: (rows: number[], cols: number) => number) =>
  plan.blocks
    .flatMap(({ sites }) => sites)
    .reduce(
      (sum, site) =>
        sum +
        value(
          site.linears.map(({ rows }) => rows),
          site.linears[0]!.cols,
        ),
      0,
    );

describe('the time of a run', () => {
  it('counts the products of every sequence in every stream, of the last layer only where they are asked for', async () => {
    const { seconds, phases } = await timeOf({ product: 1e6 });
    const forward = (3 * 20 * weights - 2 * 20 * last.rows * last.cols) / 1e6;
    expect(phases.calibrate).toBeCloseTo(forward, 9);
    // the first sequence once more through what was written, and both its logits
    expect(phases.verify).toBeCloseTo((20 * weights + 2 * 20 * table) / 1e6, 9);
    expect(phases).toMatchObject({ load: 0, solve: 0 });
    expect(seconds).toBeCloseTo(phases.calibrate + phases.verify, 9);
    expect((await timeOf({ product: 1e6 }, { method: gptq() })).phases.calibrate).toBeCloseTo(2 * forward, 9);
  });

  it('counts attention by the square of a window', async () => {
    const { heads, headSize } = plan.blocks[0]!.attention;
    const { phases } = await timeOf({ attention: 1e6 });
    expect(phases.calibrate).toBeCloseTo((3 * plan.blocks.length * 20 ** 2 * heads * headSize) / 1e6, 9);
  });

  it('counts statistics as they say themselves, and those of output errors', async () => {
    const statistics = { 'gram:none': 1e6, 'cross-gram:none': 2e6 };
    const triangle = (cols: number) => (cols * (cols + 1)) / 2;
    const errors = sitesOf((rows, cols) => rows.reduce((sum, count) => sum + 2 * count * triangle(cols), 0)) / 1e6;
    const plain = await timeOf({ statistics });
    expect(plain.phases.calibrate).toBeCloseTo((60 * sitesOf((_, cols) => triangle(cols))) / 1e6, 9);
    expect(plain.phases.solve).toBeCloseTo(errors, 9);
    const both = await timeOf({ statistics }, { method: gptq() });
    expect(both.phases.calibrate).toBeCloseTo(60 * sitesOf((_, cols) => triangle(cols) / 1e6 + cols ** 2 / 2e6), 9);
  });

  it("counts a solver's algebra as it says itself, and rounding by weight and by square", async () => {
    const method = gptq({ target: 'plain' });
    expect((await timeOf({ factoring: 1e6 }, { method })).phases.solve).toBeCloseTo(sitesOf((_, cols) => cols ** 3 / 3) / 1e6, 9);
    const swept = sitesOf((rows, cols) => rows.reduce((sum, count) => sum + (count * cols ** 2) / 2, 0));
    expect((await timeOf({ algebra: 1e6 }, { method })).phases.solve).toBeCloseTo(swept / 1e6, 9);
    const rounding = { [formatName(format)]: { weights: 1e6, squares: 2e6 } };
    expect((await timeOf({ rounding })).phases.solve).toBeCloseTo(weights / 1e6, 9);
    const squares = linears(plan).reduce((sum, { cols }) => sum + cols ** 2, 0);
    expect((await timeOf({ rounding }, { method })).phases.solve).toBeCloseTo(weights / 1e6 + squares / 2e6, 9);
  });

  it('counts what is read: weights twice for the run and once to check, tables once and twice', async () => {
    const { phases } = await timeOf({ reading: 1e6 });
    expect(phases.load).toBeCloseTo(tables / 1e6, 9);
    expect(phases.solve).toBeCloseTo((2 * weights) / 1e6, 9);
    expect(phases.verify).toBeCloseTo((weights + 2 * tables) / 1e6, 9);
  });

  it('comes from rates that are measured, and the progress goes by them', async () => {
    expect((await checkQuantize(job())).time).toBeUndefined();
    for (const method of [rtn(), gptq()]) {
      const options = job({ method });
      const { time } = await checkQuantize(options, { measure: true });
      const { rates } = time!;
      expect(Object.keys(rates.statistics)).toEqual(method.id === 'rtn' ? ['gram:none'] : ['gram:none', 'cross-gram:none']);
      expect(Object.keys(rates.rounding)).toEqual([formatName(format)]);
      const { statistics, rounding, ...plain } = rates;
      for (const rate of [...Object.values(plain), ...Object.values(statistics), ...Object.values(rounding[formatName(format)]!)]) {
        expect(rate).toBeGreaterThan(0);
        expect(rate).toBeLessThan(Infinity);
      }
      expect(time!.backend).toEqual({ id: 'reference', threads: 1 });
      const heard: Progress[] = [];
      const report = await quantize({ ...options, rates, onProgress: (progress) => heard.push(progress) });
      expect(report.planned.time).toEqual(time);
      const solving = heard.findIndex(({ phase, at }) => phase === 'solve' && at !== 'embeddings');
      expect(heard[solving]!.fraction).toBeGreaterThan(0);
      expect(heard.at(-1)!.fraction).toBeCloseTo(1, 9);
      expect(options.backend.bytes).toBe(0);
    }
  });
});

describe('the stopwatch', () => {
  /** A clock that only `spend` moves; other processes take `elsewhere` of the wall's time, `threads` work at once. */
  function clock({ elsewhere = 0, threads = 1 } = {}) {
    let [wall, processor] = [0, 0];
    const spend = (seconds: number) => {
      wall += seconds + elsewhere;
      processor += seconds * threads;
    };
    return { spend, wall: () => wall, processor: () => processor };
  }

  it.each([{}, { elsewhere: 0.5 }, { threads: 4 }])('takes the quickest run, %j', async (kind) => {
    const time = clock(kind);
    let calls = 0;
    expect(await quickest(() => time.spend(calls++ === 0 ? 0.02 : 0.002), time)).toBeCloseTo(0.002, 9);
    expect(calls).toBe(12);
  });

  it('is content with three long runs', async () => {
    const time = clock();
    let calls = 0;
    await quickest(() => time.spend(++calls), time);
    expect(calls).toBe(3);
  });

  it('takes the first size that can be told from the steps of the clock, else the last', async () => {
    const time = clock();
    const tried = new Set<number>();
    const rate = (sizes: number[]) =>
      rateOf(
        sizes,
        (size) => 7 * size,
        (size) => {
          tried.add(size);
          time.spend(size / 1000);
        },
        time,
      );
    expect(await rate([1, 5, 50])).toBeCloseTo(7000, 3);
    expect([...tried]).toEqual([1, 5]);
    expect(await rate([1, 2])).toBeCloseTo(7000, 3);
    expect([...tried]).toEqual([1, 5, 2]);
  });
});
