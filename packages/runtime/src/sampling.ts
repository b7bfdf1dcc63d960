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
  const rank = ranking();
  let weights = new Float64Array();
  return (logits) => {
    if (weights.length !== logits.length) weights = new Float64Array(logits.length);
    const top = logits[likeliest(logits)]!;
    for (let i = 0; i < logits.length; i++) weights[i] = Math.exp((logits[i]! - top) / temperature);
    return draw(rank(logits), weights, options, draws);
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

/**
 * Draws one of the `ranked` tokens, likeliest first, that the filters leave. Weights are relative to the likeliest token's. Only as many are
 * ranked as are needed: `kept` lists them once a filter has cut the vocabulary.
 */
function draw(ranked: Iterator<number>, weights: Float64Array, { topK, topP, minP = 0 }: SamplingOptions, draws: Random): number {
  const sum = (tokens: readonly number[]) => tokens.reduce((total, token) => total + weights[token]!, 0);
  let kept = topK !== undefined && topK < weights.length ? take(ranked, topK) : undefined;
  if (topP !== undefined && topP < 1) {
    const enough = topP * (kept ? sum(kept) : weights.reduce((total, weight) => total + weight, 0));
    let held = 0;
    kept = take(kept?.values() ?? ranked, weights.length, (token) => {
      held += weights[token]!;
      return held >= enough;
    });
  }
  kept = kept?.filter((token) => weights[token]! >= minP);
  let left = draws.uniform() * (kept ? sum(kept) : weights.reduce((total, weight) => (weight >= minP ? total + weight : total), 0));
  const tokens = kept?.values() ?? ranked;
  let token = 0;
  for (let next = tokens.next(); !next.done && weights[next.value]! >= minP; next = tokens.next()) {
    token = next.value;
    left -= weights[token]!;
    if (left < 0) break;
  }
  // rounding can leave a sliver after the last one
  return token;
}

/** The first `count` of `tokens`, or fewer, up to one that is the last. */
function take(tokens: Iterator<number>, count: number, isLast: (token: number) => boolean = () => false): number[] {
  const taken: number[] = [];
  while (taken.length < count) {
    const { done, value } = tokens.next();
    if (done) break;
    taken.push(value);
    if (isLast(value)) break;
  }
  return taken;
}

/** Tokens by falling logits, and by rising ids among equals, one after the other from a heap. By logits, which tell apart what rounds to the same weight. */
function ranking(): (logits: Float32Array) => Generator<number, undefined> {
  let heap = new Uint32Array();
  return function* (logits) {
    if (heap.length !== logits.length) heap = new Uint32Array(logits.length);
    let size = logits.length;
    const before = (a: number, b: number) => logits[a]! > logits[b]! || (logits[a] === logits[b] && a < b);
    const sink = (from: number) => {
      const token = heap[from]!;
      let at = from;
      for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
        if (child + 1 < size && before(heap[child + 1]!, heap[child]!)) child++;
        if (!before(heap[child]!, token)) break;
        heap[at] = heap[child]!;
        at = child;
      }
      heap[at] = token;
    };
    for (let i = 0; i < size; i++) heap[i] = i;
    for (let i = (size >> 1) - 1; i >= 0; i--) sink(i);
    while (size > 0) {
      yield heap[0]!;
      heap[0] = heap[--size]!;
      sink(0);
    }
    return undefined;
  };
}

function check(name: string, value: number, fits: boolean, wanted: string): void {
  if (!fits || !Number.isFinite(value)) throw new FewbitError('usage', `${name} must be ${wanted}, got ${value}.`);
}
