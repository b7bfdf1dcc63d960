/**
 * The best block of a K-quant or IQ4_XS. Each sub-block is fitted by weighted least squares over many ranges; the scales (and minima) become
 * integers under d (and dmin); then, in turns, every sub-block tries the neighbours of its integers, and d and dmin are solved again for all.
 * Each turn only ever lowers Σ importance·(x − x̂)². The anchors are ggml's `make_qkx3_quants`, which rounds the scales and is done.
 */
import type { Importance, Tile } from '../types.js';
import { fitAffine, fitStep } from './fit-span.js';
import type { SuperType } from './ggml-types.js';
import { toHalf } from './half.js';
import { type LevelFitter, levelFitter, type Span } from './level-fit.js';
import { levelTable } from './nearest-level.js';
import { spanOf } from './span-of.js';
import type { SuperParams } from './super-format.js';

/** Turns of integers and block steps; most blocks stop earlier. */
const turns = 4;

export function searchSuper(type: SuperType): (tile: Tile, importance?: Importance) => SuperParams {
  const fitter = levelFitter(type);
  const levels = levelTable(type);
  const extremes = [Math.min(...levels), Math.max(...levels)] as const;
  const count = type.block / type.sub;
  const affine = type.dmin !== undefined;

  return (tile, importance) => {
    const spans = subSpans(spanOf(tile, importance), type.sub);
    const steps = new Float64Array(count);
    const mins = new Float64Array(count);
    for (const [j, span] of spans.entries()) {
      const found = affine ? fitAffine(fitter, span, levels.length - 1, 0) : fitStep(fitter, span, extremes, levels.length);
      steps[j] = found.step;
      mins[j] = -found.base;
    }
    let best: Candidate | undefined;
    for (const start of starts(type, steps, mins)) {
      const found = refine(fitter, type, spans, steps, mins, start);
      if (!best || found.error < best.error) best = found;
    }
    return best!.params;
  };
}

interface Candidate {
  readonly params: SuperParams;
  readonly error: number;
}

interface BlockSteps {
  readonly d: number;
  readonly dmin: number;
}

function subSpans(whole: Span, sub: number): Span[] {
  return Array.from({ length: Math.ceil(whole.count / sub) }, (_, j) => ({
    ...whole,
    from: j * sub,
    count: Math.min(sub, whole.count - j * sub),
  }));
}

/** Block steps that put the largest sub-block on the last integer, or near it where integers are few. */
function starts({ scale: { low, high }, dmin }: SuperType, steps: Float64Array, mins: Float64Array): BlockSteps[] {
  const largest = steps.reduce((most, step) => (Math.abs(step) > Math.abs(most) ? step : most), 0);
  const deepest = mins.reduce((most, min) => Math.max(most, min), 0);
  if (dmin === undefined) return [low, low - 0.2, low + 0.5, high].map((end) => ({ d: largest / end, dmin: 0 }));
  const ends = high < 32 ? [0, 1, 2] : [0, 3];
  return ends.map((less) => ({ d: largest / (high - less), dmin: deepest / (high - less) }));
}

function refine(
  fitter: LevelFitter,
  type: SuperType,
  spans: readonly Span[],
  steps: Float64Array,
  mins: Float64Array,
  start: BlockSteps,
): Candidate {
  let d = toHalf(start.d);
  let dmin = toHalf(start.dmin);
  const { low, high } = type.scale;
  const clamp = (value: number) => Math.min(high, Math.max(low, value));
  const scales = Int8Array.from(steps, (step) => (d === 0 ? 0 : clamp(Math.round(step / d))));
  const depths = Uint8Array.from(mins, (min) => (dmin === 0 ? 0 : clamp(Math.round(min / dmin))));
  const errors = Float64Array.from(spans, (span, j) => fitter.error(span, d * scales[j]!, -dmin * depths[j]!));
  let error = total(errors);
  for (let turn = 0; turn < turns; turn++) {
    const before = error;
    for (const [j, span] of spans.entries()) improveIntegers(fitter, type, span, j, { d, dmin, scales, depths, errors });
    error = total(errors);
    const solved = solveSteps(fitter, spans, { d, dmin, scales, depths });
    if (solved.d !== d || solved.dmin !== dmin) {
      const moved = Float64Array.from(spans, (span, j) => fitter.error(span, solved.d * scales[j]!, -solved.dmin * depths[j]!));
      if (total(moved) < error) {
        ({ d, dmin } = solved);
        errors.set(moved);
        error = total(errors);
      }
    }
    if (!(error < before * (1 - 1e-6))) break;
  }
  return { params: { d, dmin, scales, mins: depths }, error };
}

interface State extends BlockSteps {
  readonly scales: Int8Array;
  readonly depths: Uint8Array;
}

/** Moves sub-block j's integers to better neighbours. */
function improveIntegers(
  fitter: LevelFitter,
  { scale: { low, high }, dmin: affine }: SuperType,
  span: Span,
  j: number,
  { d, dmin, scales, depths, errors }: State & { readonly errors: Float64Array },
): void {
  const [scale, depth] = [scales[j]!, depths[j]!];
  const [far, deep] = affine === undefined ? [2, 0] : [1, 1];
  for (let s = Math.max(low, scale - far); s <= Math.min(high, scale + far); s++) {
    for (let m = Math.max(0, depth - deep); m <= Math.min(high, depth + deep); m++) {
      if (s === scale && m === depth) continue;
      const error = fitter.error(span, d * s, -dmin * m);
      if (error < errors[j]!) {
        errors[j] = error;
        scales[j] = s;
        depths[j] = m;
      }
    }
  }
}

/** d and dmin by least squares over the whole block, for the levels that it has now. */
function solveSteps(fitter: LevelFitter, spans: readonly Span[], { d, dmin, scales, depths }: State): BlockSteps {
  const sums = new Float64Array(5);
  for (const [j, span] of spans.entries()) {
    fitter.accumulate(span, d * scales[j]!, -dmin * depths[j]!, scales[j]!, -depths[j]!, sums);
  }
  const [aa, ab, bb, ax, bx] = sums as unknown as [number, number, number, number, number];
  const determinant = aa * bb - ab * ab;
  if (determinant > 1e-12 * aa * bb) {
    const solvedMin = (aa * bx - ab * ax) / determinant;
    if (solvedMin >= 0) return { d: toHalf((bb * ax - ab * bx) / determinant), dmin: toHalf(solvedMin) };
  }
  if (aa === 0) return { d, dmin };
  return { d: toHalf((ax - dmin * ab) / aa), dmin };
}

function total(errors: Float64Array): number {
  let sum = 0;
  for (let j = 0; j < errors.length; j++) sum += errors[j]!;
  return sum;
}
