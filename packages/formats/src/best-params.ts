import type { Importance, NumericFormat, Tile } from './types.js';

export interface ErrorMeasure {
  readonly importance?: Importance | undefined;
  /** Power of the error |x − x̂|. Default 2. */
  readonly norm?: number;
}

/** Of `candidates` the params with the least Σ importance·|x − x̂|^norm over `tile`; of equals the first. A likely one should come first: it makes the others end early. */
export function bestParams<P>(
  format: Pick<NumericFormat<P>, 'encode' | 'decode'>,
  tile: Tile,
  candidates: Iterable<P>,
  { importance, norm = 2 }: ErrorMeasure = {},
): P {
  const order = extremesFirst(tile);
  let best: P | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const params of candidates) {
    const sum = tileError(format, tile, params, order, importance, norm, least);
    if (sum < least || best === undefined) {
      least = sum;
      best = params;
      if (sum === 0) break;
    }
  }
  return best!;
}

/** The places of `tile` with values near its extremes before all others: clipping hurts those most, so that a bad candidate ends early. */
function extremesFirst({ rows, cols, data }: Tile): Uint32Array {
  const count = rows * cols;
  let largest = 0;
  for (let i = 0; i < count; i++) largest = Math.max(largest, Math.abs(data[i]!));
  const order = new Uint32Array(count);
  let front = 0;
  let back = count;
  for (let i = count - 1; i >= 0; i--) {
    if (Math.abs(data[i]!) > nearExtreme * largest) order[front++] = i;
    else order[--back] = i;
  }
  return order;
}

const nearExtreme = 0.7;

/** The sum, or some number ≥ `limit` as soon as it is that: terms are never negative. */
function tileError<P>(
  format: Pick<NumericFormat<P>, 'encode' | 'decode'>,
  { cols, data }: Tile,
  params: P,
  order: Uint32Array,
  importance: Importance | undefined,
  norm: number,
  limit: number,
): number {
  let sum = 0;
  for (let i = 0; i < order.length; i++) {
    const at = order[i]!;
    const x = data[at]!;
    const d = x - format.decode(format.encode(x, params, at), params, at);
    const term = norm === 2 ? d * d : Math.abs(d) ** norm;
    sum += importance ? importance[at < cols ? at : at % cols]! * term : term;
    if (sum >= limit) break;
  }
  return sum;
}
