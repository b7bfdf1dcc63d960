import { gather, gram } from '@fewbit/calibration';
import { matrix } from '@fewbit/core';
import { decodeMatrix, type FormatSpec } from '@fewbit/formats';
import type { Algebra } from '@fewbit/kernels';
import { reportOn } from '../round-weight.js';
import { siteFormats } from '../site-formats.js';
import type { QuantizeOptions } from '../types.js';
import { noise } from './noise.js';
import type { Rates, RoundingRate } from './rates.js';
import { quickest, rateOf } from './stopwatch.js';

type AlgebraRates = Pick<Rates, 'factoring' | 'algebra'>;

const tokens = 256;
const sizes = [64, 128, 256, 512];
const plainGram = gram();

export async function measureAlgebra(algebra: Algebra): Promise<AlgebraRates> {
  const values = Float64Array.from(noise(512 ** 2));
  const positive = (n: number) => Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 2 : 1 / n));
  const matrices = new Map(sizes.map((n) => [n, positive(n)]));
  return {
    factoring: await rateOf(
      sizes,
      (n) => n ** 3 / 3,
      (n) => algebra.inverseCholesky(matrices.get(n)!, n),
    ),
    algebra: await rateOf(
      sizes,
      (n) => n ** 3,
      (n) => algebra.product(values.subarray(0, n * n), values.subarray(0, n * n), n, n, n),
    ),
  };
}

/** Of the statistics that a run gathers, on a site of at most 512 features. */
export async function measureStatistics(width: number, { method, backend }: QuantizeOptions): Promise<Rates['statistics']> {
  const cols = Math.min(width, 512);
  const [input, floatInput] = [matrix(tokens, cols, noise(tokens * cols)), matrix(tokens, cols, noise(tokens * cols))];
  const rates: Record<string, number> = {};
  for (const statistic of [...method.solver.needs, plainGram]) {
    const accumulator = statistic.start(cols, backend.algebra);
    rates[statistic.id] ??= await rateOf(
      [16, 64, tokens],
      (count) => count * (statistic.work?.(cols) ?? cols),
      (count) => {
        const first = (all: typeof input) => matrix(count, cols, all.data.subarray(0, count * cols));
        accumulator.add({ input: first(input), floatInput: first(floatInput) });
      },
    );
  }
  return rates;
}

/**
 * Of a layer of at most 256 inputs in a format: rounded, decoded, compared and packed. Layers of few and of many rows tell what a weight takes from what the squares of
 * the inputs take, both beside the algebra.
 */
export async function measureRounding(
  spec: FormatSpec,
  width: number,
  known: AlgebraRates,
  options: QuantizeOptions,
): Promise<RoundingRate> {
  const { backend, layout, seed = 0 } = options;
  const { solver } = options.method;
  const { algebra } = backend;
  const cols = Math.min(width, 256);
  const gathering = gather(solver.needs, cols, algebra);
  gathering.add({ input: matrix(tokens, cols, noise(tokens * cols)), floatInput: matrix(tokens, cols, noise(tokens * cols)) });
  const seconds = async (rows: number) => {
    const weight = matrix(rows, cols, noise(rows * cols));
    const name = 'measured';
    const linear = { module: name, rows, cols, bias: false, transposed: false };
    const formats = await siteFormats(
      { linears: [linear] },
      () => spec,
      async () => weight,
      layout,
    );
    const taken = await quickest(async () => {
      const solved = await solver.solve({ name, weight, format: formats.get(name)!, input: gathering.measured(), algebra, seed });
      reportOn(name, weight, decodeMatrix(solved.matrix), solved.matrix, solved.notes);
      if (layout.rejects(spec, rows, cols) === undefined) layout.pack(solved.matrix);
    });
    const work = solver.work?.([rows], cols);
    return Math.max(0, taken - (work ? work.factoring / known.factoring + work.products / known.algebra : 0));
  };
  const [few, many] = [16, 64];
  await seconds(many); // warms up for both
  const short = await seconds(few);
  const long = await seconds(many);
  // a nanosecond for a weight is as quick as any
  const weight = Math.max(1e-9, (long - short) / ((many - few) * cols));
  const square = Math.max(1e-12, (short - weight * few * cols) / cols ** 2);
  return { weights: 1 / weight, squares: 1 / square };
}
