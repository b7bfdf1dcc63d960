/** The integers of a block's sub-blocks, and the steps under them, by a model of each sub-block's error that costs no look at its values. */

import type { SuperType } from './ggml-types.js';
import { toHalf } from './half.js';
import type { LevelFit, LevelFitter, Span } from './level-fit.js';

interface Steps {
  readonly d: number;
  readonly dmin: number;
}

/** Integers of every sub-block under one pair of steps: x̂ = d·scale·level − dmin·depth. */
export interface BlockIntegers extends Steps {
  readonly scales: Int8Array;
  readonly depths: Uint8Array;
}

/**
 * A sub-block's error near its best step and base, while the values keep their levels: at most
 * error + ll·Δstep² + 2·l·Δstep·Δbase + one·Δbase², for values that change theirs find nearer ones.
 */
export interface SpanModel extends LevelFit {
  /** Σ w·level², Σ w·level and Σ w. */
  readonly ll: number;
  readonly l: number;
  readonly one: number;
}

export function spanModel(fitter: LevelFitter, span: Span, fit: LevelFit): SpanModel {
  const sums = new Float64Array(5);
  fitter.accumulate(span, fit.step, fit.base, 1, 1, sums);
  return { ...fit, ll: sums[0]!, l: sums[1]!, one: sums[2]! };
}

/** Of many pairs of steps `keep` with the least modelled error, the best first, each with its best integers by the model, which differ. */
export function likelySteps(type: SuperType, models: readonly SpanModel[], keep: number): BlockIntegers[] {
  const modelled: { readonly steps: Steps; readonly error: number }[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (const steps of pairs(type, models)) {
    const error = modelledError(type, models, steps, likely * least);
    least = Math.min(least, error);
    if (error < likely * least || modelled.length === 0) modelled.push({ steps, error });
  }
  modelled.sort((a, b) => a.error - b.error);
  const found: BlockIntegers[] = [];
  for (const { steps } of modelled) {
    const integers = { ...steps, scales: new Int8Array(models.length), depths: new Uint8Array(models.length) };
    modelledError(type, models, steps, Number.POSITIVE_INFINITY, integers);
    if (!found.some((other) => sameIntegers(other, integers))) found.push(integers);
    if (found.length === keep) break;
  }
  return found;
}

/** Pairs with more than this times the least error are not tried. */
const likely = 1.2;

function sameIntegers(a: BlockIntegers, b: BlockIntegers): boolean {
  return a.scales.every((scale, j) => scale === b.scales[j]) && a.depths.every((depth, j) => depth === b.depths[j]);
}

/** Steps that put the largest sub-block on the last integer, or on one of those below it. */
function* pairs({ scale: { low, high }, dmin }: SuperType, models: readonly SpanModel[]): Generator<Steps> {
  const largest = models.reduce((most, { step }) => (Math.abs(step) > Math.abs(most) ? step : most), 0);
  if (dmin === undefined) {
    for (const [end, reach] of [
      [low, -1],
      [high, 1],
    ] as const) {
      for (let i = -24; i <= 28; i++) yield { d: toHalf(largest / (end - (reach * i * Math.abs(end)) / 128)), dmin: 0 };
    }
    return;
  }
  const deepest = models.reduce((most, { base }) => Math.max(most, -base), 0);
  const stride = high < 32 ? 0.5 : 1;
  for (let i = -2; i < 8; i += 2) {
    for (let k = -2; k < 8; k++) yield { d: toHalf(largest / (high - i * stride)), dmin: toHalf(deepest / (high - k * stride)) };
  }
}

/** Of the best integers by the model, which are put into `found`; some number ≥ `limit` as soon as it is that. */
function modelledError(
  { scale: { low, high }, dmin: affine }: SuperType,
  models: readonly SpanModel[],
  { d, dmin }: Steps,
  limit: number,
  found?: Pick<BlockIntegers, 'scales' | 'depths'>,
): number {
  const clamp = (value: number) => (value < low ? low : value > high ? high : value);
  const [perStep, perDepth] = [d === 0 ? 0 : 1 / d, dmin === 0 ? 0 : 1 / dmin];
  let total = 0;
  for (let j = 0; j < models.length; j++) total += models[j]!.error;
  for (let j = 0; j < models.length && total < limit; j++) {
    const { step, base, ll, l, one } = models[j]!;
    const wanted = step * perStep;
    const first = clamp(affine === undefined ? Math.round(wanted) : Math.floor(wanted));
    const last = affine === undefined ? first : clamp(first + 1);
    const slope = one > 0 ? l / one : 0;
    let least = Number.POSITIVE_INFINITY;
    for (let scale = first; scale <= last; scale++) {
      const more = d * scale - step;
      const depth = affine === undefined ? 0 : clamp(Math.round((slope * more - base) * perDepth));
      const off = -dmin * depth - base;
      const cost = more * (ll * more + 2 * l * off) + one * off * off;
      if (cost >= least) continue;
      least = cost;
      if (found) {
        found.scales[j] = scale;
        found.depths[j] = depth;
      }
    }
    total += least;
  }
  return total;
}
