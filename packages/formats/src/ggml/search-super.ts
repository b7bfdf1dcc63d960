/**
 * The best block of a K-quant or IQ4_XS. Each sub-block is fitted by weighted least squares over many ranges; d (and dmin), under which the
 * scales (and minima) become integers, are chosen among many by a model of the error; then, in turns, every sub-block tries the neighbours of its
 * integers, and d and dmin are solved again for all. Each turn only ever lowers Σ importance·(x − x̂)². The anchors are ggml's
 * `make_qkx3_quants`, which rounds the scales and is done.
 */
import type { Importance, Tile } from '../types.js';
import { type BlockIntegers, likelySteps, spanModel } from './block-steps.js';
import { fitAffine, fitStep } from './fit-span.js';
import type { SuperType } from './ggml-types.js';
import { toHalf } from './half.js';
import { type LevelFitter, levelFitter, type Span } from './level-fit.js';
import { levelTable } from './nearest-level.js';
import { spanOf } from './span-of.js';
import type { SuperParams } from './super-format.js';

/** Turns of integers and block steps; most blocks stop earlier. */
const turns = 4;
/** A turn that gains less than this part of the error is the last. */
const worthwhile = 1e-3;
/** Pairs of d and dmin that take them. */
const starts = 2;

export function searchSuper(type: SuperType): (tile: Tile, importance?: Importance) => SuperParams {
  const fitter = levelFitter(type);
  const levels = levelTable(type);
  const extremes = [Math.min(...levels), Math.max(...levels)] as const;
  const affine = type.dmin !== undefined;

  return (tile, importance) => {
    const spans = subSpans(spanOf(tile, importance), type.sub);
    const models = spans.map((span) => {
      const found = affine ? fitAffine(fitter, span, levels.length - 1, 0) : fitStep(fitter, span, extremes, levels.length);
      return spanModel(fitter, span, found);
    });
    let best: Candidate | undefined;
    for (const start of likelySteps(type, models, starts)) {
      const found = refine(fitter, type, spans, start);
      if (!best || found.error < best.error) best = found;
    }
    return best!.params;
  };
}

interface Candidate {
  readonly params: SuperParams;
  readonly error: number;
}

function subSpans(whole: Span, sub: number): Span[] {
  return Array.from({ length: Math.ceil(whole.count / sub) }, (_, j) => ({
    ...whole,
    from: j * sub,
    count: Math.min(sub, whole.count - j * sub),
  }));
}

function refine(fitter: LevelFitter, type: SuperType, spans: readonly Span[], { scales, depths, ...start }: BlockIntegers): Candidate {
  let { d, dmin } = start;
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
    if (!(error < before * (1 - worthwhile))) break;
  }
  return { params: { d, dmin, scales, mins: depths }, error };
}

/** Moves sub-block j's integers to better neighbours. */
function improveIntegers(
  fitter: LevelFitter,
  { scale: { low, high }, dmin: affine }: SuperType,
  span: Span,
  j: number,
  { d, dmin, scales, depths, errors }: BlockIntegers & { readonly errors: Float64Array },
): void {
  const [scale, depth] = [scales[j]!, depths[j]!];
  const [far, deep] = affine === undefined ? [2, 0] : [1, 1];
  for (let s = Math.max(low, scale - far); s <= Math.min(high, scale + far); s++) {
    for (let m = Math.max(0, depth - deep); m <= Math.min(high, depth + deep); m++) {
      if (s === scale && m === depth) continue;
      const error = fitter.error(span, d * s, -dmin * m, errors[j]!);
      if (error < errors[j]!) {
        errors[j] = error;
        scales[j] = s;
        depths[j] = m;
      }
    }
  }
}

/** d and dmin by least squares over the whole block, for the levels that it has now. */
function solveSteps(
  fitter: LevelFitter,
  spans: readonly Span[],
  { d, dmin, scales, depths }: BlockIntegers,
): Pick<BlockIntegers, 'd' | 'dmin'> {
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
