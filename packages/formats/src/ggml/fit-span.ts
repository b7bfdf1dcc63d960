/** The best real-valued step (and base) for a run of values, before they are rounded to what a type stores. */
import type { LevelFit, LevelFitter, Span } from './level-fit.js';

/** x̂ = step·level. `extremes` are the lowest and highest level: the value of largest magnitude may lie on either, or beyond. */
export function fitStep(fitter: LevelFitter, span: Span, extremes: readonly [number, number], levels: number): LevelFit {
  const extreme = extremeOf(span);
  if (extreme === 0) return { step: 0, base: 0, error: 0 };
  const [lowest, highest] = extremes;
  const refit = (step: number) => fitter.refitStep(span, step, 0);
  const stride = levels > 32 ? 2 : 1;
  let best: LevelFit = { step: 0, base: 0, error: Number.POSITIVE_INFINITY };
  for (const end of lowest === -highest ? [highest] : extremes) {
    let found = refit(extreme / end);
    for (let k = -8; k <= 12; k += stride) {
      const fit = refit(extreme / (end * (1 + (0.2 * k) / levels)));
      if (fit.error < found.error) found = fit;
    }
    const polished = polish(found, refit);
    if (polished.error < best.error) best = polished;
  }
  return best;
}

/** x̂ = step·level + base, levels 0 … `top`, base at most `highestBase`. */
export function fitAffine(fitter: LevelFitter, span: Span, top: number, highestBase: number): LevelFit {
  const { x, from, count } = span;
  let min = x[from]!;
  let max = min;
  for (let i = from + 1; i < from + count; i++) {
    const value = x[i]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (min > highestBase) min = highestBase;
  if (max <= min) return { step: 0, base: min, error: fitter.error(span, 0, min) };
  const refit = (step: number, base: number) => fitter.refitBoth(span, step, base, highestBase);
  let best: LevelFit = { step: 0, base: min, error: Number.POSITIVE_INFINITY };
  for (const ends of lowEnds) {
    const base = Math.min(highestBase, min + (ends * (max - min)) / top);
    let found: LevelFit | undefined;
    for (let k = -10; k <= 20; k += 3) {
      const fit = refit((max - base) / (top + 0.1 * k), base);
      if (fit.step >= 0 && !(fit.error >= (found?.error ?? Number.POSITIVE_INFINITY))) found = fit;
    }
    if (!found) continue;
    const polished = polish(found, refit);
    if (polished.error < best.error) best = polished;
  }
  return best;
}

/** Low ends of the range that are tried, in steps above the lowest value. */
const lowEnds = [0, 0.25, 0.5, 0.75];

/** Lloyd's iteration: nearest levels, least squares, while it helps. */
function polish(start: LevelFit, refit: (step: number, base: number) => LevelFit): LevelFit {
  let best = start;
  for (let turn = 0; turn < 8; turn++) {
    const next = refit(best.step, best.base);
    if (!(next.error < best.error * (1 - 1e-9))) break;
    best = next;
  }
  return best;
}

function extremeOf({ x, from, count }: Span): number {
  let extreme = 0;
  for (let i = from; i < from + count; i++) if (Math.abs(x[i]!) > Math.abs(extreme)) extreme = x[i]!;
  return extreme;
}
