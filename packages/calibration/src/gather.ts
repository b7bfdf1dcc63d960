import { FewbitError } from '@fewbit/core';
import type { Algebra } from '@fewbit/kernels';
import { requireFinite } from './require-finite.js';
import type { Accumulator, Measured, SiteSample, Statistic } from './types.js';

/** The statistics of one site while its samples come by. */
export interface Gathering {
  /** Whether samples must carry `floatInput`. */
  readonly needsFloat: boolean;
  /** Throws `numeric` for NaN or Inf, `usage` for a missing or misshapen `floatInput`. */
  add(sample: SiteSample): void;
  /** What was measured so far; each statistic's result is made once and kept. */
  measured(): Measured;
}

/** Starts the statistics of a site of `columns` features; the same id is gathered once. */
export function gather(statistics: readonly Statistic<unknown>[], columns: number, algebra: Algebra): Gathering {
  const accumulators = new Map<string, Accumulator<unknown>>();
  for (const statistic of statistics) {
    if (!accumulators.has(statistic.id)) accumulators.set(statistic.id, statistic.start(columns, algebra));
  }
  return {
    needsFloat: statistics.some((statistic) => statistic.needsFloat),
    add(sample) {
      if (sample.input.cols !== columns) {
        throw new FewbitError('usage', `This site has ${columns} features, the sample ${sample.input.cols}.`);
      }
      const all = [...accumulators.values()];
      const look = () => {
        requireFinite(sample.input);
        if (sample.floatInput) requireFinite(sample.floatInput);
      };
      const tellThemselves = all.length > 0 && all.every((accumulator) => accumulator.finite);
      if (!tellThemselves) look();
      for (const accumulator of all) accumulator.add(sample);
      if (tellThemselves && !all.every((accumulator) => accumulator.finite!())) look();
    },
    measured() {
      const results = new Map<string, unknown>();
      return {
        get<R>(statistic: Statistic<R>): R {
          const accumulator = accumulators.get(statistic.id);
          if (!accumulator) {
            const known = [...accumulators.keys()].join(', ') || 'none';
            throw new FewbitError('usage', `Statistic '${statistic.id}' was not gathered here (${known}): name it in the solver's needs.`);
          }
          if (!results.has(statistic.id)) results.set(statistic.id, accumulator.result());
          return results.get(statistic.id) as R;
        },
      };
    },
  };
}
