import type { FormatSpec } from '@fewbit/formats';
import { blockLinears } from '@fewbit/models';
import type { WeightSource } from '@fewbit/runtime';
import type { QuantizeOptions, WeightFormat } from '../types.js';
import { weightFormatName } from '../weight-formats.js';
import { measureForward } from './measure-forward.js';
import { measureAlgebra, measureRounding, measureStatistics } from './measure-solver.js';
import type { Rates, RoundingRate } from './rates.js';
import { inputWidth } from './state-sizes.js';
import { quickest } from './stopwatch.js';

/** Values of the largest matrix that is read to see how fast that is. */
const mostToRead = 1 << 24;

/** What the backend and the method of a run do in a second, measured on small pieces of the model's shapes. */
export async function measureRates(
  source: WeightSource,
  formats: ReadonlyMap<string, WeightFormat>,
  longest: number,
  options: QuantizeOptions,
): Promise<Rates> {
  const { backend, calibration } = options;
  const width = inputWidth(source.plan);
  const known = await measureAlgebra(backend.algebra);
  const rounding: Record<string, RoundingRate> = {};
  for (const [name, spec] of namedSpecs(formats)) rounding[name] = await measureRounding(spec, width, known, options);
  return {
    ...(await measureForward(source.plan, backend, longest)),
    statistics: calibration ? await measureStatistics(width, options) : {},
    ...known,
    reading: await reading(source),
    rounding,
  };
}

function namedSpecs(formats: ReadonlyMap<string, WeightFormat>): ReadonlyMap<string, FormatSpec> {
  const specs = new Map<string, FormatSpec>();
  for (const format of formats.values()) if (typeof format !== 'string') specs.set(weightFormatName(format), format);
  return specs;
}

/** Weights a second: of the largest matrix of the first block that is not too large. */
async function reading(source: WeightSource): Promise<number> {
  const linears = blockLinears(source.plan.blocks[0]!).toSorted((one, other) => one.rows * one.cols - other.rows * other.cols);
  const { module, rows, cols } = linears.findLast((linear) => linear.rows * linear.cols <= mostToRead) ?? linears[0]!;
  return (rows * cols) / (await quickest(() => source.linear(module)));
}
