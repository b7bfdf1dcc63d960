import { FewbitError } from '@fewbit/core';
import { createFormat, type FormatSpec, fitSearched } from '@fewbit/formats';
import type { InputHistogram } from './histogram.js';

/** How a static scale covers what was measured: all of it, all but the rarest values, or what errs least in mean square. */
export const observers = ['minmax', 'percentile', 'mse'] as const;
export type Observer = (typeof observers)[number];

/** The part of values that `percentile` keeps. */
const kept = 0.9999;

/** Params of `format`, which has one tile per tensor, for inputs distributed so. Throws `calibration` where nothing was measured. */
export function staticParams(histogram: InputHistogram, format: FormatSpec, observer: Observer): unknown {
  const { min, max } = histogram;
  if (min > max) throw new FewbitError('calibration', 'A static scale needs inputs to be measured: give calibration text.');
  const create = createFormat(format);
  switch (observer) {
    case 'minmax':
      return create.fit(tileOf([min, max]));
    case 'percentile': {
      const bound = magnitudeBelow(histogram, kept);
      return create.fit(tileOf([Math.max(min, -bound), Math.min(max, bound)]));
    }
    case 'mse': {
      const { values, weights } = centres(histogram);
      return fitSearched(create, tileOf(values), { importance: weights });
    }
  }
}

function tileOf(values: readonly number[] | Float64Array) {
  return { rows: 1, cols: values.length, data: Float64Array.from(values) };
}

/** The magnitude that `part` of the values do not exceed. */
function magnitudeBelow({ counts, reach, min, max }: InputHistogram, part: number): number {
  const half = counts.length / 2;
  const total = counts.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  for (let i = 0; i < half; i++) {
    seen += counts[half + i]! + counts[half - 1 - i]!;
    if (seen >= part * total) return Math.min(((i + 1) * reach) / half, Math.max(-min, max));
  }
  return Math.max(-min, max);
}

/** The middle of each step that has values, and how many; the extremes stand for themselves. */
function centres({ counts, reach, min, max }: InputHistogram): { values: Float64Array; weights: Float64Array } {
  const half = counts.length / 2;
  const used = [...counts.keys()].filter((i) => counts[i]! > 0);
  const values = Float64Array.from(used, (i) => Math.min(max, Math.max(min, ((i + 0.5) / half - 1) * reach)));
  values[0] = min;
  values[values.length - 1] = max;
  return { values, weights: Float64Array.from(used, (i) => counts[i]!) };
}
