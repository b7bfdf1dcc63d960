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

/** A function from a row of logits to a token id. Throws `usage` for options out of range. */
export function sampler(options: SamplingOptions = {}): (logits: Float32Array) => number {
  const { temperature = 0, seed = 0 } = options;
  check('temperature', temperature, temperature >= 0, 'a number of 0 or more');
  if (options.topK !== undefined) check('topK', options.topK, Number.isInteger(options.topK) && options.topK > 0, 'a positive integer');
  if (options.topP !== undefined) check('topP', options.topP, options.topP > 0 && options.topP <= 1, 'above 0 and at most 1');
  if (options.minP !== undefined) check('minP', options.minP, options.minP >= 0 && options.minP <= 1, 'between 0 and 1');
  if (temperature === 0) return likeliest;
  const draws = random(seed);
  return (logits) => draw(candidates(logits, temperature, options), draws);
}

/** The first of the largest logits. */
function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

interface Candidate {
  readonly token: number;
  /** Relative to the likeliest. */
  readonly weight: number;
}

/** Likeliest first. */
function candidates(logits: Float32Array, temperature: number, { topK, topP, minP }: SamplingOptions): Candidate[] {
  const top = logits[likeliest(logits)]!;
  const all = Array.from(logits, (logit, token) => ({ token, weight: Math.exp((logit - top) / temperature) }));
  // by logits, which tell apart what rounds to the same weight
  all.sort((a, b) => logits[b.token]! - logits[a.token]! || a.token - b.token);
  let kept = all.slice(0, topK);
  if (topP !== undefined) kept = nucleus(kept, topP);
  if (minP !== undefined) kept = kept.filter(({ weight }) => weight >= minP);
  return kept;
}

function nucleus(sorted: readonly Candidate[], topP: number): Candidate[] {
  const enough = topP * total(sorted);
  let sum = 0;
  const end = sorted.findIndex(({ weight }) => {
    sum += weight;
    return sum >= enough;
  });
  return sorted.slice(0, end < 0 ? undefined : end + 1);
}

function draw(kept: readonly Candidate[], draws: Random): number {
  let left = draws.uniform() * total(kept);
  for (const { token, weight } of kept) {
    left -= weight;
    if (left < 0) return token;
  }
  // rounding can leave a sliver after the last candidate
  return kept.at(-1)!.token;
}

const total = (kept: readonly Candidate[]) => kept.reduce((sum, { weight }) => sum + weight, 0);

function check(name: string, value: number, fits: boolean, wanted: string): void {
  if (!fits || !Number.isFinite(value)) throw new FewbitError('usage', `${name} must be ${wanted}, got ${value}.`);
}
