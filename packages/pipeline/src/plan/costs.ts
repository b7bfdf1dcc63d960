import { gram } from '@fewbit/calibration';
import { type BlockPlan, blockLinears, type LinearPlan, type ModelPlan, type Site } from '@fewbit/models';
import type { QuantizeOptions, WeightFormat, WeightSite } from '../types.js';
import { weightFormatName } from '../weight-formats.js';
import { typicalRates, typicalRounding, typicalStatistic } from './rates.js';
import { sum } from './sum.js';

/** Seconds that the steps of a run take, by the rates. */
export interface Costs {
  /** Embedding and head are rounded, where they have a format … */
  readonly rounding: number;
  /** … and read. */
  readonly loading: number;
  /** A sequence of so many tokens goes through a stage of a block, in all streams, and is measured for the stage's site. */
  stage(block: BlockPlan, index: number, tokens: number): number;
  /** A layer of a site is rounded, written, and told of. */
  layer(site: Site, linear: LinearPlan): number;
  /** The logits of the model in memory … */
  readonly logits: number;
  /** … and of what was written. */
  readonly reading: number;
}

const plainGram = gram();

/** `first`: tokens of the sequence whose logits are compared. */
export function costsOf(
  plan: ModelPlan,
  sites: readonly WeightSite[],
  formats: ReadonlyMap<string, WeightFormat>,
  first: number,
  { method: { solver }, calibration, rates = typicalRates }: Pick<QuantizeOptions, 'method' | 'calibration' | 'rates'>,
): Costs {
  const streams = solver.needs.some((statistic) => statistic.needsFloat) ? 2 : 1;
  const needs = calibration ? [...solver.needs, plainGram] : [];
  const statistics = [...new Map(needs.map((statistic) => [statistic.id, statistic])).values()];
  const measuring = (cols: number, tokens: number) =>
    sum(statistics, ({ id, work }) => (tokens * (work?.(cols) ?? cols)) / (rates.statistics[id] ?? typicalStatistic));

  const forward = (block: BlockPlan, index: number, tokens: number) => {
    const linears = block.sites[index - 1]?.linears ?? [];
    const { heads, headSize } = block.attention;
    const attention = index === 1 ? (tokens ** 2 * heads * headSize) / rates.attention : 0;
    return (tokens * sum(linears, size)) / rates.product + attention + (tokens * restOfStage(block)) / rates.elementwise;
  };
  const tables = sites.filter(({ role }) => role !== 'linear');
  const rounding = ({ module, ...shape }: { module: string; rows: number; cols: number }) => {
    const format = formats.get(module);
    const { weights, squares } = (format && rates.rounding[weightFormatName(format)]) ?? typicalRounding;
    return size(shape) / weights + (solver.work ? shape.cols ** 2 / squares : 0);
  };
  const logits = (first * plan.vocabulary * plan.hidden) / rates.product;
  const stages = (block: BlockPlan) => Array.from({ length: block.sites.length + 1 }, (_, index) => forward(block, index, first));
  return {
    rounding: sum(tables, (table) => (formats.has(table.module) ? rounding(table) : 0)),
    loading: sum(tables, size) / rates.reading,
    stage(block, index, tokens) {
      const site = block.sites[index];
      return streams * forward(block, index, tokens) + (site ? measuring(site.linears[0]!.cols, tokens) : 0);
    },
    layer(site, linear) {
      const { rows, cols } = linear;
      // once with the block, once to be rounded
      const read = (2 * size(linear)) / rates.reading;
      if (!formats.has(linear.module)) return read;
      const work = solver.work?.(
        site.linears.map((one) => one.rows),
        cols,
      );
      const shared = work ? work.factoring / rates.factoring + work.products / rates.algebra : 0;
      const share = rows / sum(site.linears, (one) => one.rows);
      return read + rounding(linear) + shared * share + (calibration ? 2 * measuringOf(plainGram.work!(cols) * rows) : 0);
    },
    logits,
    reading:
      logits +
      (2 * sum(tables, size)) / rates.reading +
      sum(plan.blocks, (block) => sum(stages(block), (seconds) => seconds) + sum(blockLinears(block), size) / rates.reading),
  };

  /** Of products of weights with themselves, for the output error. */
  function measuringOf(work: number): number {
    return work / (rates.statistics[plainGram.id] ?? typicalStatistic);
  }
}

/** Values of a token that a stage's ops between products make, over all stages: norms and sums of the residual stream, turned queries and keys, the gated product. */
function restOfStage({ sites }: BlockPlan): number {
  const [attentionInput, attentionOutput, , mlpDown] = sites.map(({ linears }) => linears[0]!.cols) as [number, number, number, number];
  return (4 * attentionInput + 2 * attentionOutput + mlpDown) / (sites.length + 1);
}

function size({ rows, cols }: { readonly rows: number; readonly cols: number }): number {
  return rows * cols;
}
