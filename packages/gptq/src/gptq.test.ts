import { outputError, weightError } from '@fewbit/algorithm';
import { crossGram, gather, gram, type Measured, type Statistic } from '@fewbit/calibration';
import { type Matrix, matrix, random } from '@fewbit/core';
import {
  createFormat,
  decodeMatrix,
  encodeMatrix,
  type FormatSpec,
  fitSearched,
  formatName,
  type Granularity,
  ggmlTypeNames,
} from '@fewbit/formats';
import { referenceAlgebra as algebra } from '@fewbit/kernels';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GptqOptions, gptq, inverseFactor, movedTarget, targetMove } from './index.js';

const int4 = spec({ kind: 'group', size: 8 });

function spec(granularity: Granularity, bits: 2 | 3 | 4 = 4): FormatSpec {
  return { kind: 'int', bits, scheme: 'asymmetric', granularity, scaleType: 'F16' };
}

/** A layer whose inputs are correlated and of uneven power; the float stream differs a little from the quantized one. */
function layer(seed: number, rows: number, cols: number, change: (input: Matrix) => void = () => {}) {
  const draw = random(seed);
  const weight = matrix(rows, cols, Float32Array.from({ length: rows * cols }, draw.normal));
  const power = Float64Array.from({ length: cols }, () => Math.exp(draw.normal()));
  const input = matrix(4 * cols, cols);
  const floatInput = matrix(4 * cols, cols);
  for (let t = 0; t < input.rows; t++) {
    const shared = draw.normal();
    for (let j = 0; j < cols; j++) {
      floatInput.data[t * cols + j] = power[j]! * (draw.normal() + shared);
      input.data[t * cols + j] = floatInput.data[t * cols + j]! + 0.2 * power[j]! * (draw.normal() + 0.5 * shared);
    }
  }
  change(input);
  return { weight, input, floatInput };
}

/** Solves a layer as the pipeline would. */
async function solve({ weight, input, floatInput }: ReturnType<typeof layer>, options: GptqOptions, format: FormatSpec = int4) {
  const { solver } = gptq(options);
  const site = gather([...solver.needs, gram()], input.cols, algebra);
  site.add(site.needsFloat ? { input, floatInput } : { input });
  return solveWith(weight, options, site.measured(), format);
}

async function solveWith(weight: Matrix, options: GptqOptions, measured: Measured, format: FormatSpec = int4) {
  const solved = await gptq(options).solver.solve({
    name: 'layer',
    weight,
    format: createFormat(format),
    input: measured,
    algebra,
    seed: 0,
  });
  return { ...solved, measured, weights: decodeMatrix(solved.matrix) };
}

/** Statistics given, not gathered. */
function given(h: Float64Array): Measured {
  return { get: <R>(_: Statistic<R>) => h as R };
}

describe('gptq', () => {
  it.each(ggmlTypeNames)('sweeps into %s blocks with less error in the output than rounding to nearest', async (type) => {
    const format: FormatSpec = { kind: 'ggml', type };
    const problem = layer(5, 3, 256);
    const of = (weights: Matrix, h: Float64Array) => outputError(problem.weight, weights, h, algebra);
    const order = (['natural', 'activation', 'group-aware'] as const)[ggmlTypeNames.indexOf(type) % 3]!;
    const { weights, measured, matrix: swept } = await solve(problem, { order, target: 'plain' }, format);
    const h = measured.get(gram());
    const importance = Float64Array.from({ length: 256 }, (_, j) => h[j * 256 + j]!);
    const nearest = encodeMatrix(problem.weight, createFormat(format), {
      fit: (tile, _row, col) => fitSearched(createFormat(format), tile, { importance: importance.subarray(col, col + tile.cols) }),
    });
    expect(swept.columnGroup).toBeUndefined();
    expect(of(weights, h), order).toBeLessThan(of(decodeMatrix(nearest), h));
  });

  // Over layers: of one so small, greedy rounding may be worse than rounding to nearest.
  it('is better in the output than rounding to nearest, whatever the order, clip and tile', async () => {
    const choices = fc.record({
      order: fc.constantFrom('natural', 'activation', 'group-aware'),
      clip: fc.constantFrom('off', 'plain', 'hessian', 'inverse'),
      tokenWeight: fc.constant('none'),
      target: fc.constant('plain'),
    }) as fc.Arbitrary<GptqOptions>;
    const granularity: fc.Arbitrary<Granularity> = fc.constantFrom(
      { kind: 'tensor' },
      { kind: 'channel' },
      { kind: 'group', size: 16 },
      { kind: 'group', size: 7 },
      { kind: 'block', rows: 3, cols: 11 },
    );
    await fc.assert(
      fc.asyncProperty(fc.integer(), choices, granularity, fc.constantFrom(2, 3, 4), async (seed, options, tiles, bits) => {
        const format = spec(tiles, bits as 2 | 3 | 4);
        let [solved, rounded] = [0, 0];
        for (let i = 0; i < 6; i++) {
          const task = layer(seed + i, 12, 40);
          const { weights, measured, notes } = await solve(task, options, format);
          const nearest = decodeMatrix(encodeMatrix(task.weight, createFormat(format)));
          const h = measured.get(gram());
          solved += outputError(task.weight, weights, h, algebra);
          rounded += outputError(task.weight, nearest, h, algebra);
          expect(notes).toEqual([]);
        }
        expect(solved).toBeLessThan(rounded);
      }),
      { numRuns: 20 },
    );
  });

  const families: FormatSpec[] = [
    { kind: 'int', bits: 8, scheme: 'symmetric-absmax', granularity: { kind: 'channel' }, scaleType: 'F32' },
    { kind: 'float', element: 'e4m3', granularity: { kind: 'block', rows: 128, cols: 128 }, scaleType: 'F32' },
    { kind: 'float', element: 'e5m2', granularity: { kind: 'channel' }, scaleType: 'BF16' },
    { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 32 }, scaleType: 'E8M0' },
    { kind: 'float', element: 'e4m3', granularity: { kind: 'group', size: 32 }, scaleType: 'E8M0' },
    { kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 16 }, scaleType: 'E4M3' },
    { kind: 'codebook', levels: 'nf4', bits: 4, granularity: { kind: 'flat', size: 64 }, scaleType: 'F32' },
    { kind: 'codebook', levels: 'nf4', bits: 4, granularity: { kind: 'flat', size: 64 }, scaleType: 'F32', nested: true },
    { kind: 'codebook', levels: 'bnb-fp4', bits: 4, granularity: { kind: 'flat', size: 32 }, scaleType: 'F32' },
    { kind: 'codebook', levels: 'fitted', bits: 2, granularity: { kind: 'channel' }, scaleType: 'F16' },
    { kind: 'codebook', levels: 'fitted', bits: 4, granularity: { kind: 'group', size: 40 }, scaleType: 'F16' },
    ...(['q8_0', 'q5_1', 'q4_0', 'iq4_nl', 'mxfp4'] as const).map((type) => ({ kind: 'ggml', type }) as const),
  ];
  it.each(families.map((format) => [formatName(format), format] as const))(
    'is never worse than rounding to nearest in %s',
    async (_, format) => {
      for (const order of ['natural', 'activation', 'group-aware'] as const) {
        for (const seed of [1, 2, 3]) {
          // 96 columns: rows cut the flat tiles of 64
          const task = layer(seed, 12, 96);
          const created = createFormat(format);
          const { weights, measured } = await solve(task, { order, target: 'plain' }, format);
          const h = measured.get(gram());
          const error = (matrix: Matrix) => outputError(task.weight, matrix, h, algebra);
          expect(error(weights)).toBeLessThan(error(decodeMatrix(encodeMatrix(task.weight, created))));
        }
      }
    },
  );

  it('errs less with outliers beside the codes, whatever the order and clip', async () => {
    for (const order of ['natural', 'activation', 'group-aware'] as const) {
      for (const clip of ['off', 'plain', 'hessian', 'inverse'] as const) {
        const sums = [0, 0];
        for (let seed = 0; seed < 4; seed++) {
          const task = layer(seed, 12, 40);
          for (let at = 7; at < task.weight.data.length; at += 97) task.weight.data[at]! *= 8;
          for (const [i, outliers] of [0, 0.02].entries()) {
            const { weights, measured, matrix } = await solve(
              task,
              { order, clip, target: 'plain', outliers },
              spec({ kind: 'group', size: 8 }, 3),
            );
            expect(matrix.outliers === undefined).toBe(i === 0);
            sums[i]! += outputError(task.weight, weights, measured.get(gram()), algebra);
          }
        }
        expect(sums[1]).toBeLessThan(0.8 * sums[0]!);
      }
    }
  });

  it('keeps outliers of every granularity and of formats that settle', async () => {
    const twoLevel = {
      kind: 'two-level',
      bits: 3,
      granularity: { kind: 'group', size: 8 },
      scaleBits: 3,
      scaleRows: 4,
      scaleType: 'F16',
    } as const;
    const nested = {
      kind: 'codebook',
      levels: 'nf4',
      bits: 4,
      granularity: { kind: 'flat', size: 32 },
      scaleType: 'F32',
      nested: true,
    } as const;
    for (const format of [twoLevel, nested, spec({ kind: 'tensor' }), spec({ kind: 'block', rows: 4, cols: 5 })]) {
      const { matrix } = await solve(layer(3, 12, 40), { outliers: 0.05 }, format);
      expect(matrix.outliers!.columns.length).toBe(24);
    }
  });

  it('comes nearer to the untouched output with the float target', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const task = layer(seed, 16, 48);
      const options: GptqOptions = { targetDamping: 0.01 };
      const plain = await solve(task, { ...options, target: 'plain' });
      const float = await solve(task, { ...options, target: 'float' });
      expect(distance(task, float.weights)).toBeLessThan(distance(task, plain.weights));
    }
  });

  it('with equal streams has the same target either way', async () => {
    const task = layer(6, 8, 24);
    const same = { ...task, floatInput: task.input };
    for (const tokenWeight of ['none', 'equal'] as const) {
      expect((await solve(same, { target: 'float', tokenWeight })).matrix).toEqual(
        (await solve(same, { target: 'plain', tokenWeight })).matrix,
      );
    }
  });

  it('declares what it needs', () => {
    expect(gptq({ target: 'plain' }).solver.needs.map(({ id }) => id)).toEqual([gram().id]);
    expect(gptq({ target: 'float', tokenWeight: 'equal' }).solver.needs.map(({ id }) => id)).toEqual([
      gram({ tokenWeight: 'equal' }).id,
      crossGram({ tokenWeight: 'equal' }).id,
    ]);
  });

  it('gives the same bytes every time', async () => {
    const [a, b] = [await solve(layer(7, 9, 33), {}), await solve(layer(7, 9, 33), {})];
    expect(a.matrix).toEqual(b.matrix);
  });

  it('sets the weights of inputs that were always 0 to 0, and says so', async () => {
    const task = layer(8, 6, 24, silence(5, 17));
    for (const target of ['plain', 'float'] as const) {
      const { weights, notes } = await solve(task, { target });
      expect(notes).toEqual(['2 of 24 inputs were always 0: their weights are set to 0']);
      for (let i = 0; i < 6; i++) for (const j of [5, 17]) expect(weights.data[i * 24 + j]).toBe(0);
    }
  });

  it('survives a layer that never saw an input', async () => {
    const { weights } = await solveWith(layer(9, 3, 8).weight, { target: 'plain' }, given(new Float64Array(64)));
    expect(weights.data.every((value) => value === 0)).toBe(true);
  });

  it('does not depend on the scale of the Hessian', async () => {
    const task = layer(10, 6, 20, silence(3));
    const { matrix: expected, measured } = await solve(task, { target: 'plain' });
    const scaled = measured.get(gram()).map((value) => value * 2 ** 40);
    expect((await solveWith(task.weight, { target: 'plain' }, given(scaled))).matrix).toEqual(expected);
  });

  it('raises damping step by step, and says so', async () => {
    // eigenvalues −0.5 and 2.5 beside ones: 0.01 and 0.1 of the mean are too little, 1 is enough
    const h = identity(12);
    h[1] = h[12] = 1.5;
    const { notes } = await solveWith(layer(11, 4, 12).weight, { target: 'plain', damping: 0.01 }, given(h));
    expect(notes).toEqual([expect.stringMatching(/damping raised from 0\.01 to 1 /)]);
  });

  it('ends in rounding to nearest, and says so', async () => {
    const task = layer(12, 4, 12);
    const h = identity(12).map((value) => value || 1e9);
    for (const target of ['plain', 'float'] as const) {
      const { matrix, notes } = await solveWith(task.weight, { target }, given(h));
      expect(matrix).toEqual(encodeMatrix(task.weight, createFormat(int4)));
      expect(notes.at(-1)).toMatch(/rounded to nearest: the Hessian is not positive definite/);
      const kept = await solveWith(task.weight, { target, outliers: 0.05 }, given(h));
      expect(kept.matrix.outliers!.columns.length).toBe(Math.round(0.05 * task.weight.data.length));
      expect(weightError(task.weight, kept.weights)).toBeLessThan(weightError(task.weight, decodeMatrix(matrix)));
    }
  });

  it('refuses NaN and Inf', async () => {
    const task = layer(13, 4, 12);
    const h = identity(12);
    const broken = matrix(4, 12, Float32Array.from(task.weight.data));
    broken.data[7] = Number.NaN;
    await expect(solveWith(broken, { target: 'plain' }, given(h))).rejects.toThrow(/weight of layer holds NaN at 7/);
    h[20] = Number.POSITIVE_INFINITY;
    await expect(solveWith(task.weight, { target: 'plain' }, given(h))).rejects.toMatchObject({ code: 'numeric' });
  });

  it('refuses options that cannot be taken', () => {
    expect(() => gptq({ order: 'random' as 'natural' })).toThrow(/order 'random' is not known: take natural, activation, group-aware/);
    for (const bad of [{ damping: 0 }, { damping: Number.NaN }, { targetDamping: -1 }, { block: 0 }, { block: 1.5 }]) {
      expect(() => gptq(bad)).toThrow(expect.objectContaining({ code: 'usage' }));
    }
  });
});

describe('what gptq says for plans', () => {
  it('is its algebra and its memory, by the shapes of a site', () => {
    const plain = gptq({ target: 'plain' }).solver;
    expect(plain.work!([4, 8], 10)).toEqual({ factoring: 1000 / 3, products: (12 * 100) / 2 });
    expect(plain.scratch!(8, 10)).toBe(8 * (3 * 100 + 4 * 80));
    const float = gptq().solver;
    // few rows: each layer solves for its own, with a factor of its own
    expect(float.work!([4, 8], 10)).toEqual({ factoring: 1000 / 3 + (2 * 1000) / 6 + 12 * 100, products: (3 * 12 * 100) / 2 });
    // a layer with as many rows as inputs: M serves all
    expect(float.work!([4, 10], 10)).toEqual({ factoring: 1000 / 3 + 1000 / 6 + 10 * 100, products: (3 * 14 * 100) / 2 });
    expect(float.scratch!(8, 10)).toBe(8 * (6 * 100 + 4 * 80));
  });
});

describe('targetMove', () => {
  it('is the least-squares answer W·C·H⁻¹ without damping, and W with all of it', () => {
    const task = layer(14, 5, 9);
    const site = gather([gram(), crossGram()], 9, algebra);
    site.add(task);
    const [h, c] = [site.measured().get(gram()), site.measured().get(crossGram())];
    const weight = Float64Array.from(task.weight.data);
    const target = (damping: number) => movedTarget(weight, targetMove({ h, c, n: 9, damping }), algebra)!;
    const best = target(1e-12);
    const [left, right] = [algebra.product(best, h, 5, 9, 9), algebra.product(weight, c, 5, 9, 9)];
    for (const [i, value] of right.entries()) expect(left[i]).toBeCloseTo(value, 6);
    const still = target(1e12);
    for (const [i, value] of weight.entries()) expect(still[i]).toBeCloseTo(value, 6);
  });

  it('moves a few rows as it moves many', () => {
    const n = 9;
    const task = layer(16, 12, n);
    const site = gather([gram(), crossGram()], n, algebra);
    site.add(task);
    const [h, c] = [site.measured().get(gram()), site.measured().get(crossGram())];
    const weight = Float64Array.from(task.weight.data);
    const move = () => targetMove({ h, c, n, damping: 0.1 });
    const many = movedTarget(weight, move(), algebra)!;
    const few = movedTarget(weight.subarray(0, 3 * n), move(), algebra)!;
    for (const [i, value] of few.entries()) expect(value).toBeCloseTo(many[i]!, 9);
  });
});

describe('inverseFactor', () => {
  it('factors the inverse of the damped, permuted Hessian', () => {
    const n = 7;
    const site = gather([gram()], n, algebra);
    site.add(layer(15, 1, n));
    const h = site.measured().get(gram());
    const order = Uint32Array.of(3, 1, 6, 0, 2, 5, 4);
    const { upper, damping } = inverseFactor(h, order, 0.05, algebra)!;
    expect(damping).toBe(0.05);
    const lambda = (0.05 * Array.from({ length: n }, (_, i) => h[i * n + i]!).reduce((sum, x) => sum + x)) / n;
    const damped = Float64Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return h[order[i]! * n + order[j]!]! + (i === j ? lambda : 0);
    });
    const transposed = upper.map((_, at) => upper[(at % n) * n + Math.floor(at / n)]!);
    const product = algebra.product(algebra.product(transposed, upper, n, n, n), damped, n, n, n);
    for (const [i, value] of identity(n).entries()) expect(product[i]).toBeCloseTo(value, 9);
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) expect(upper[i * n + j]).toBe(0);
  });
});

/** Sets features of the input to 0 in every token. */
function silence(...features: readonly number[]) {
  return ({ rows, cols, data }: Matrix) => {
    for (let t = 0; t < rows; t++) for (const j of features) data[t * cols + j] = 0;
  };
}

/** E‖W·xf − Ŵ·x‖² */
function distance({ weight, input, floatInput }: ReturnType<typeof layer>, rounded: Matrix): number {
  let sum = 0;
  for (let t = 0; t < input.rows; t++) {
    for (let i = 0; i < weight.rows; i++) {
      let difference = 0;
      for (let j = 0; j < weight.cols; j++) {
        difference += weight.data[i * weight.cols + j]! * floatInput.data[t * weight.cols + j]!;
        difference -= rounded.data[i * weight.cols + j]! * input.data[t * weight.cols + j]!;
      }
      sum += difference ** 2;
    }
  }
  return sum / input.rows;
}

function identity(n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
}
