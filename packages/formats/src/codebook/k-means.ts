import type { Importance, Tile } from '../types.js';

/**
 * The at most `k` centres, rising, with the least Σ importance·(x − nearest centre)² over a tile: one-dimensional k-means, solved exactly
 * and so deterministic. Fewer where the tile has fewer values of positive importance (all alike where none has).
 *
 * Clusters are runs of the sorted values. With D[m][j] the least cost of the first j values in m runs, D[m][j] = min over i of
 * D[m−1][i] + cost(i, j), whose minimising i rises with j: divide and conquer takes O(k·n·log n) (Grønlund et al. 2017, arXiv 1701.07204).
 */
export function kMeans(tile: Tile, k: number, importance?: Importance): Float64Array {
  const { values, weights } = sortedValues(tile, importance);
  const n = values.length;
  if (n <= k) return values;
  const sums = prefixSums(values, weights);
  let previous = Float64Array.from({ length: n + 1 }, (_, j) => runCost(sums, 0, j));
  const starts: Int32Array[] = [];
  for (let m = 2; m <= k; m++) {
    const costs = new Float64Array(n + 1);
    const start = new Int32Array(n + 1);
    divide(sums, previous, costs, start, m, n, m - 1, n - 1);
    starts.push(start);
    previous = costs;
  }
  const centres = new Float64Array(k);
  for (let m = k, end = n; m >= 1; m--) {
    const from = m === 1 ? 0 : starts[m - 2]![end]!;
    centres[m - 1] = runMean(sums, from, end);
    end = from;
  }
  return centres;
}

/** Distinct values, rising, with the importance of each. */
function sortedValues({ rows, cols, data }: Tile, importance: Importance | undefined): { values: Float64Array; weights: Float64Array } {
  const weight = importance?.some((x) => x > 0) ? (at: number) => importance[at % cols]! : () => 1;
  const order = Uint32Array.from({ length: rows * cols }, (_, i) => i).sort((a, b) => data[a]! - data[b]!);
  const values = new Float64Array(order.length);
  const weights = new Float64Array(order.length);
  let n = 0;
  for (const at of order) {
    const w = weight(at);
    if (!(w > 0)) continue;
    const x = data[at]!;
    if (n > 0 && values[n - 1] === x) {
      weights[n - 1]! += w;
    } else {
      values[n] = x;
      weights[n] = w;
      n++;
    }
  }
  return { values: values.subarray(0, n), weights: weights.subarray(0, n) };
}

/** Over the first j values: their weight, and the weighted sums of x − shift and (x − shift)²; the shift keeps them accurate. */
interface Sums {
  readonly shift: number;
  readonly weight: Float64Array;
  readonly first: Float64Array;
  readonly second: Float64Array;
}

function prefixSums(values: Float64Array, weights: Float64Array): Sums {
  const n = values.length;
  const shift = values.reduce((sum, x) => sum + x, 0) / n;
  const [weight, first, second] = [new Float64Array(n + 1), new Float64Array(n + 1), new Float64Array(n + 1)];
  for (let i = 0; i < n; i++) {
    const [w, x] = [weights[i]!, values[i]! - shift];
    weight[i + 1] = weight[i]! + w;
    first[i + 1] = first[i]! + w * x;
    second[i + 1] = second[i]! + w * x * x;
  }
  return { shift, weight, first, second };
}

/** Σ w·(x − mean)² over values i … j − 1. */
function runCost({ weight, first, second }: Sums, i: number, j: number): number {
  if (j <= i) return 0;
  const sum = first[j]! - first[i]!;
  return second[j]! - second[i]! - (sum * sum) / (weight[j]! - weight[i]!);
}

function runMean({ shift, weight, first }: Sums, i: number, j: number): number {
  return shift + (first[j]! - first[i]!) / (weight[j]! - weight[i]!);
}

/** Fills costs and start for ends low … high, whose best starts lie in first … last. */
function divide(
  sums: Sums,
  previous: Float64Array,
  costs: Float64Array,
  start: Int32Array,
  low: number,
  high: number,
  first: number,
  last: number,
): void {
  if (low > high) return;
  const end = (low + high) >> 1;
  let best = first;
  let least = Number.POSITIVE_INFINITY;
  for (let i = first; i <= Math.min(last, end - 1); i++) {
    const cost = previous[i]! + runCost(sums, i, end);
    if (cost < least) {
      least = cost;
      best = i;
    }
  }
  costs[end] = least;
  start[end] = best;
  divide(sums, previous, costs, start, low, end - 1, first, best);
  divide(sums, previous, costs, start, end + 1, high, best, last);
}
