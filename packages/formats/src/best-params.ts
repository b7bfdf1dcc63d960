import type { Importance, NumericFormat, Tile } from './types.js';

export interface ErrorMeasure {
  readonly importance?: Importance | undefined;
  /** Power of the error |x − x̂|. Default 2. */
  readonly norm?: number;
}

type Codec<P> = Pick<NumericFormat<P>, 'encode' | 'decode'>;

/** Of `candidates` the params with the least Σ importance·|x − x̂|^norm over `tile`; of equals the first. A likely one should come first: it makes the others end early. */
export function bestParams<P>(format: Codec<P>, tile: Tile, candidates: Iterable<P>, measure: ErrorMeasure = {}): P {
  return leastError(format, tile, measure, (offer) => {
    for (const params of candidates) if (offer(params)) break;
  });
}

/** The same for candidates that `propose` offers one by one; an offer says whether no better one can come. */
export function leastError<P>(
  format: Codec<P>,
  tile: Tile,
  { importance, norm = 2 }: ErrorMeasure,
  propose: (offer: (params: P) => boolean) => void,
): P {
  const count = gather(tile, importance);
  let best: P | undefined;
  let least = Number.POSITIVE_INFINITY;
  propose((params) => {
    const sum = norm === 2 ? squaredError(format, count, params, least) : powerError(format, count, params, norm, least);
    if (sum < least || best === undefined) {
      least = sum;
      best = params;
    }
    return least === 0;
  });
  return best!;
}

/** The tile under search, side by side in the order in which errors are summed: millions of tiles are searched, one at a time, and share this memory. */
let values = new Float64Array(0);
let weights = new Float64Array(0);
/** Row-major places in the tile. */
let offsets = new Uint32Array(0);

/** Values near the tile's extremes come before all others: clipping hurts those most, so that a bad candidate ends early. Returns how many there are. */
function gather({ rows, cols, data }: Tile, importance: Importance | undefined): number {
  const count = rows * cols;
  if (count > values.length) {
    values = new Float64Array(count);
    weights = new Float64Array(count);
    offsets = new Uint32Array(count);
  }
  let largest = 0;
  for (let i = 0; i < count; i++) {
    const magnitude = Math.abs(data[i]!);
    if (magnitude > largest) largest = magnitude;
  }
  let front = 0;
  let back = count;
  for (let i = count - 1; i >= 0; i--) {
    const x = data[i]!;
    const place = Math.abs(x) > nearExtreme * largest ? front++ : --back;
    values[place] = x;
    offsets[place] = i;
    weights[place] = importance ? importance[i < cols ? i : i % cols]! : 1;
  }
  return count;
}

const nearExtreme = 0.7;

/** The sum, or some number ≥ `limit` as soon as it is that: terms are never negative. */
function squaredError<P>(format: Codec<P>, count: number, params: P, limit: number): number {
  const [x, w, at] = [values, weights, offsets];
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const value = x[i]!;
    const offset = at[i]!;
    const d = value - format.decode(format.encode(value, params, offset), params, offset);
    sum += w[i]! * (d * d);
    if (sum >= limit) break;
  }
  return sum;
}

function powerError<P>(format: Codec<P>, count: number, params: P, norm: number, limit: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const value = values[i]!;
    const offset = offsets[i]!;
    const d = value - format.decode(format.encode(value, params, offset), params, offset);
    sum += weights[i]! * Math.abs(d) ** norm;
    if (sum >= limit) break;
  }
  return sum;
}
