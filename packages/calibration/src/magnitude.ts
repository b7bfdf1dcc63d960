import type { Statistic } from './types.js';

/** max |x| of each feature, [n]. */
export function absMax(): Statistic<Float64Array> {
  return perFeature('abs-max', (value, x) => Math.max(value, Math.abs(x)), false);
}

/** E|x| of each feature, [n]. */
export function absMean(): Statistic<Float64Array> {
  return perFeature('abs-mean', (value, x) => value + Math.abs(x), true);
}

/** E[x²] of each feature, [n]: the diagonal of `gram` for the price of one pass. */
export function meanSquare(): Statistic<Float64Array> {
  return perFeature('mean-square', (value, x) => value + x * x, true);
}

function perFeature(id: string, fold: (value: number, x: number) => number, mean: boolean): Statistic<Float64Array> {
  return {
    id,
    needsFloat: false,
    start(columns) {
      const folded = new Float64Array(columns);
      let tokens = 0;
      return {
        add({ input }) {
          const { rows, cols, data } = input;
          for (let i = 0; i < rows; i++) {
            for (let j = 0; j < cols; j++) folded[j] = fold(folded[j]!, data[i * cols + j]!);
          }
          tokens += rows;
        },
        result: () => (mean ? folded.map((value) => value / Math.max(tokens, 1)) : folded),
      };
    },
  };
}
