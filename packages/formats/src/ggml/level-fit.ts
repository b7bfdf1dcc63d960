/** Least squares over the levels of a block type: the pieces that every search of scales is made of. */
import type { SimpleType, SuperType } from './ggml-types.js';
import { type Levels, nearestPlace, sortedLevels } from './nearest-level.js';

/** x̂ = step·level + base, and Σ w·(x − x̂)² of it. */
export interface LevelFit {
  readonly step: number;
  readonly base: number;
  readonly error: number;
}

/** Values [from, from + count) of `x` with weights `w`. */
export interface Span {
  readonly x: Float64Array;
  readonly w: Float64Array;
  readonly from: number;
  readonly count: number;
}

export interface LevelFitter {
  /** Σ w·(x − x̂)² with every x at its nearest level, or some number ≥ `limit` as soon as it is that. */
  error(span: Span, step: number, base: number, limit?: number): number;
  /** The best step for the levels that the values take at `step`, `base` kept; the error is of those levels. */
  refitStep(span: Span, step: number, base: number): LevelFit;
  /** The best step and base for those levels; base is kept ≤ `highest`. */
  refitBoth(span: Span, step: number, base: number, highest: number): LevelFit;
  /** Σ w·level·scale … over those levels, for the least squares of a whole block: adds to `sums`. */
  accumulate(span: Span, step: number, base: number, scale: number, min: number, sums: Float64Array): void;
}

/** Added and taken away, it rounds a small double to an integer. */
const nearestEven = 1.5 * 2 ** 52;

export function levelFitter({ levels }: Pick<SimpleType | SuperType, 'levels'>): LevelFitter {
  const table: Levels | undefined = 'table' in levels ? sortedLevels(levels.table) : undefined;
  const low = 'table' in levels ? 0 : -levels.zero;
  const high = 'table' in levels ? 0 : levels.top - levels.zero;

  /** A step of 0 has all values at level 0, or at what stands for it. */
  function level(value: number): number {
    if (table) return table.values[nearestPlace(table, value)]!;
    return value < low ? low : value > high ? high : value + nearestEven - nearestEven;
  }

  return {
    error({ x, w, from, count }, step, base, limit = Number.POSITIVE_INFINITY) {
      const inverse = step === 0 ? 0 : 1 / step;
      let error = 0;
      for (let i = from; i < from + count; i++) {
        const value = x[i]! - base;
        const miss = value - step * level(value * inverse);
        error += w[i]! * miss * miss;
        if (error >= limit) break;
      }
      return error;
    },
    refitStep({ x, w, from, count }, step, base) {
      const inverse = step === 0 ? 0 : 1 / step;
      let cross = 0;
      let square = 0;
      let power = 0;
      for (let i = from; i < from + count; i++) {
        const value = x[i]! - base;
        const l = level(value * inverse);
        const weighted = w[i]! * l;
        cross += weighted * value;
        square += weighted * l;
        power += w[i]! * value * value;
      }
      if (square === 0) return { step: 0, base, error: power };
      return { step: cross / square, base, error: power - (cross * cross) / square };
    },
    refitBoth({ x, w, from, count }, step, base, highest) {
      const inverse = step === 0 ? 0 : 1 / step;
      let sw = 0;
      let sl = 0;
      let sll = 0;
      let sx = 0;
      let slx = 0;
      let sxx = 0;
      for (let i = from; i < from + count; i++) {
        const weight = w[i]!;
        const value = x[i]!;
        const l = level((value - base) * inverse);
        sw += weight;
        sl += weight * l;
        sll += weight * l * l;
        sx += weight * value;
        slx += weight * l * value;
        sxx += weight * value * value;
      }
      const determinant = sw * sll - sl * sl;
      let newStep = determinant > 0 ? (sw * slx - sl * sx) / determinant : 0;
      let newBase = determinant > 0 ? (sll * sx - sl * slx) / determinant : sw > 0 ? sx / sw : 0;
      if (newBase > highest) {
        newBase = highest;
        newStep = sll > 0 ? (slx - newBase * sl) / sll : 0;
      }
      const error =
        newStep * newStep * sll + 2 * newStep * newBase * sl + newBase * newBase * sw - 2 * newStep * slx - 2 * newBase * sx + sxx;
      return { step: newStep, base: newBase, error };
    },
    accumulate({ x, w, from, count }, step, base, scale, min, sums) {
      const inverse = step === 0 ? 0 : 1 / step;
      for (let i = from; i < from + count; i++) {
        const weight = w[i]!;
        const value = x[i]!;
        const a = scale * level((value - base) * inverse);
        sums[0]! += weight * a * a;
        sums[1]! += weight * a * min;
        sums[2]! += weight * min * min;
        sums[3]! += weight * a * value;
        sums[4]! += weight * min * value;
      }
    },
  };
}
