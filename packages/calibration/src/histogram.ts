import type { Statistic } from './types.js';

/** How the values of a site's input are distributed, over all tokens and features. */
export interface InputHistogram {
  readonly min: number;
  readonly max: number;
  /** Count of values in 2·bins equal steps over −reach … reach. */
  readonly counts: Float64Array;
  readonly reach: number;
}

/** Steps on each side of 0; their width doubles whenever a value lies beyond. */
const bins = 4096;

/** The distribution of all values, in memory that does not grow: what static scales of inputs are made from. */
export function inputHistogram(): Statistic<InputHistogram> {
  return {
    id: 'input-histogram',
    needsFloat: false,
    start() {
      let counts = new Float64Array(2 * bins);
      let reach = 2 ** -20;
      let min = Number.POSITIVE_INFINITY;
      let max = Number.NEGATIVE_INFINITY;
      return {
        add({ input }) {
          for (const value of input.data) {
            if (value < min) min = value;
            if (value > max) max = value;
            while (value > reach || value < -reach) {
              counts = widened(counts);
              reach *= 2;
            }
            counts[Math.min(2 * bins - 1, Math.floor(((value + reach) / reach) * bins))]!++;
          }
        },
        result: () => ({ min, max, counts, reach }),
      };
    },
  };
}

/** The same counts over a range twice as wide: exact, since two steps become one. */
function widened(counts: Float64Array): Float64Array<ArrayBuffer> {
  const out = new Float64Array(2 * bins);
  for (let i = 0; i < 2 * bins; i++) out[bins / 2 + (i >> 1)]! += counts[i]!;
  return out;
}
