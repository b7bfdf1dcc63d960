import { FewbitError, type Random, random } from '@fewbit/core';

/** How the next token is drawn. The filters apply in this order, each to what the one before left. */
export interface SamplingOptions {
  /** Divides the logits; 0 takes the likeliest token. Default 0. */
  readonly temperature?: number;
  /** Only the k likeliest tokens. */
  readonly topK?: number;
  /** Only the fewest likeliest tokens that together hold this much probability (Holtzman et al. 2020). */
  readonly topP?: number;
  /** Only tokens at least this many times as likely as the likeliest (Nguyen et al. 2024). */
  readonly minP?: number;
  /** Same seed, same draws. Default 0. */
  readonly seed?: number;
}

/** A function from a row of logits to a token id; it keeps working memory between calls. Throws `usage` for options out of range. */
export function sampler(options: SamplingOptions = {}): (logits: Float32Array) => number {
  const { temperature = 0, seed = 0 } = options;
  check('temperature', temperature, temperature >= 0, 'a number of 0 or more');
  if (options.topK !== undefined) check('topK', options.topK, Number.isInteger(options.topK) && options.topK > 0, 'a positive integer');
  if (options.topP !== undefined) check('topP', options.topP, options.topP > 0 && options.topP <= 1, 'above 0 and at most 1');
  if (options.minP !== undefined) check('minP', options.minP, options.minP >= 0 && options.minP <= 1, 'between 0 and 1');
  if (temperature === 0) return likeliest;
  const draws = random(seed);
  let weights = new Float64Array();
  let ids = new Uint32Array();
  return (logits) => {
    if (weights.length !== logits.length) {
      weights = new Float64Array(logits.length);
      ids = new Uint32Array(logits.length);
    }
    const top = logits[likeliest(logits)]!;
    for (let i = 0; i < logits.length; i++) {
      weights[i] = Math.exp((logits[i]! - top) / temperature);
      ids[i] = i;
    }
    return draw(filtered(ids, logits, weights, options), weights, draws);
  };
}

/** The first of the largest logits. */
function likeliest(logits: Float32Array): number {
  let best = 0;
  let most = logits[0]!;
  for (let i = 1; i < logits.length; i++) {
    const logit = logits[i]!;
    if (logit > most) {
      most = logit;
      best = i;
    }
  }
  return best;
}

/** The tokens that the filters leave, in no order. Weights are relative to the likeliest token's. */
function filtered(ids: Uint32Array, logits: Float32Array, weights: Float64Array, { topK, topP, minP = 0 }: SamplingOptions): Uint32Array {
  let kept = ids;
  if (topK !== undefined && topK < kept.length) kept = firsts(kept, logits, () => 1, topK);
  if (topP !== undefined && topP < 1) kept = firsts(kept, logits, (token) => weights[token]!, topP * total(kept, weights));
  return minP === 0 ? kept : kept.filter((token) => weights[token]! >= minP);
}

function draw(kept: Uint32Array, weights: Float64Array, draws: Random): number {
  let left = draws.uniform() * total(kept, weights);
  for (const token of kept) {
    left -= weights[token]!;
    if (left < 0) return token;
  }
  // rounding can leave a sliver after the last one
  return kept.at(-1)!;
}

function total(tokens: Uint32Array, weights: Float64Array): number {
  let sum = 0;
  for (const token of tokens) sum += weights[token]!;
  return sum;
}

/**
 * The fewest tokens whose measures add up to `enough`, or all: by falling logits, and by rising ids among equals. They move to the front of `ids`, in no
 * order: selection (Hoare 1961) takes time in proportion to the vocabulary, where sorting flat logits would not. By logits, which tell apart what
 * rounds to the same weight.
 */
function firsts(ids: Uint32Array, logits: Float32Array, measure: (token: number) => number, enough: number): Uint32Array {
  const before = (a: number, b: number) => logits[a]! > logits[b]! || (logits[a] === logits[b] && a < b);
  const swap = (i: number, j: number) => {
    const token = ids[i]!;
    ids[i] = ids[j]!;
    ids[j] = token;
  };
  let low = 0;
  let high = ids.length;
  let held = 0;
  while (high - low > 1) {
    // the middle one of three for a pivot, kept at the end
    const [middle, last] = [(low + high) >> 1, high - 1];
    if (before(ids[middle]!, ids[low]!)) swap(middle, low);
    if (before(ids[last]!, ids[low]!)) swap(last, low);
    if (before(ids[middle]!, ids[last]!)) swap(middle, last);
    const pivot = ids[last]!;
    let place = low;
    let sum = 0;
    for (let i = low; i < last; i++) {
      const token = ids[i]!;
      if (!before(token, pivot)) continue;
      sum += measure(token);
      swap(i, place++);
    }
    swap(place, last);
    if (held + sum >= enough) high = place;
    else if (held + sum + measure(pivot) >= enough) return ids.subarray(0, place + 1);
    else {
      held += sum + measure(pivot);
      low = place + 1;
    }
  }
  return ids.subarray(0, high);
}

function check(name: string, value: number, fits: boolean, wanted: string): void {
  if (!fits || !Number.isFinite(value)) throw new FewbitError('usage', `${name} must be ${wanted}, got ${value}.`);
}
