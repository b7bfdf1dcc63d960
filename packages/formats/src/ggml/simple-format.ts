/** The ggml types with one step for a block. RTN gives the bytes of ggml's `quantize_row_…_ref` but for IQ4_NL, whose step is searched there too. */
import type { Importance, NumericFormat, Tile } from '../types.js';
import { fitAffine, fitStep } from './fit-span.js';
import type { GgmlTypeName, SimpleType } from './ggml-types.js';
import { toHalf } from './half.js';
import { levelFitter } from './level-fit.js';
import { levelTable, nearestPlace, sortedLevels } from './nearest-level.js';
import { spanOf } from './span-of.js';

/** What one block shares: x̂ = d·level + m. */
export interface BlockParams {
  /** Exact in f16 (MXFP4: a power of two). */
  readonly d: number;
  /** Exact in f16; 0 where the type has no minimum. */
  readonly m: number;
  /** What encoding subtracts and multiplies by: m and 1/d, or those before they were rounded, which ggml's own encoders take. Not stored. */
  readonly origin: number;
  readonly inverse: number;
}

/** Parameters as they are stored. */
export function storedBlock(d: number, m: number): BlockParams {
  return { d, m, origin: m, inverse: d === 0 ? 0 : 1 / d };
}

export function simpleFormat(
  name: GgmlTypeName,
  type: SimpleType,
): Pick<NumericFormat<BlockParams>, 'levels' | 'fit' | 'search' | 'affine' | 'encode' | 'decode' | 'round'> {
  const levels = levelTable(type);
  const fitter = levelFitter(type);
  const extremes = [Math.min(...levels), Math.max(...levels)] as const;
  const affine = type.m !== undefined;

  function searchBlock(tile: Tile, importance: Importance | undefined): BlockParams {
    const span = spanOf(tile, importance);
    const candidates = type.scale === 'e8m0' ? exponents(span.x, span.count) : [found()];
    const fitted = fits[name];
    if (fitted) candidates.push(stored(fitted(tile, 1)));
    const errors = candidates.map(({ d, m }) => fitter.error(span, d, m));
    return candidates[errors.indexOf(Math.min(...errors))]!;

    function found(): BlockParams {
      const best = affine
        ? fitAffine(fitter, span, levels.length - 1, Number.POSITIVE_INFINITY)
        : fitStep(fitter, span, extremes, levels.length);
      return storedBlock(toHalf(best.step), toHalf(best.base));
    }
  }

  const encode = encoderOf(name, type);
  // adding a minimum of 0 would lose the sign of −0
  const decode: NumericFormat<BlockParams>['decode'] = affine
    ? (code, { d, m }) => Math.fround(Math.fround(d * levels[code]!) + m)
    : (code, { d }) => Math.fround(d * levels[code]!);

  return {
    levels: levels.length,
    fit(tile, shrink = 1) {
      const fitted = fits[name];
      if (fitted) return fitted(tile, shrink);
      const { d } = searchBlock(tile, undefined);
      return storedBlock(toHalf(d * shrink), 0);
    },
    search: searchBlock,
    affine: { table: Float32Array.from(levels), bases: affine, of: ({ d, m }) => ({ scale: d, base: m }) },
    encode,
    decode,
    round(from, to, start, end, params) {
      for (let i = start; i < end; i++) to[i] = decode(encode(from[i]!, params, 0), params, 0);
    },
  };
}

function stored({ d, m }: BlockParams): BlockParams {
  return storedBlock(d, m);
}

/** The exponent that holds the largest magnitude with E2M1's 6, and its neighbours: two below clip, one above does not. */
function exponents(x: Float64Array, count: number): BlockParams[] {
  let largest = 0;
  for (let i = 0; i < count; i++) largest = Math.max(largest, Math.abs(x[i]!));
  const e = e8m0Exponent(largest);
  return [e - 2, e - 1, e, e + 1].map((exponent) => storedBlock(2 ** Math.min(127, Math.max(-127, exponent)), 0));
}

/** OCP's rule: the exponent of the largest magnitude, less that of E2M1's largest element. */
function e8m0Exponent(largest: number): number {
  if (largest === 0) return -127;
  let exponent = Math.floor(Math.log2(largest));
  if (2 ** exponent > largest) exponent--; // Math.log2 rounds up just below a power of two
  return Math.max(-127, exponent - 2);
}

/** ggml's own parameters, in its float32 order of operations. */
type Fit = (tile: Tile, shrink: number) => BlockParams;
const f32 = Math.fround;
const fits: Partial<Record<GgmlTypeName, Fit>> = {
  q4_0: (tile, shrink) => fromStep(f32(extreme(tile) * shrink) / -8),
  q5_0: (tile, shrink) => fromStep(f32(extreme(tile) * shrink) / -16),
  q4_1: (tile, shrink) => fromRange(tile, shrink, 15),
  q5_1: (tile, shrink) => fromRange(tile, shrink, 31),
  q8_0: (tile, shrink) => fromStep(f32(Math.abs(extreme(tile)) * shrink) / 127),
  tq1_0: (tile, shrink) => fromStep(f32(Math.abs(extreme(tile)) * shrink)),
  tq2_0: (tile, shrink) => fromStep(f32(Math.abs(extreme(tile)) * shrink)),
  mxfp4: (tile, shrink) => storedBlock(2 ** e8m0Exponent(Math.abs(extreme(tile)) * shrink), 0),
};

function fromStep(exact: number): BlockParams {
  const step = f32(exact);
  return { d: toHalf(step), m: 0, origin: 0, inverse: step === 0 ? 0 : f32(1 / step) };
}

function fromRange({ data, rows, cols }: Tile, shrink: number, steps: number): BlockParams {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < rows * cols; i++) {
    const x = data[i]!;
    if (x < min) min = x;
    if (x > max) max = x;
  }
  const origin = f32(min * shrink);
  const step = f32(f32(f32(max * shrink) - origin) / steps);
  return { d: toHalf(step), m: toHalf(origin), origin, inverse: step === 0 ? 0 : f32(1 / step) };
}

/** The value of largest magnitude, with its sign; of equals the first. */
function extreme({ rows, cols, data }: Tile): number {
  let value = 0;
  for (let i = 0; i < rows * cols; i++) if (Math.abs(data[i]!) > Math.abs(value)) value = data[i]!;
  return f32(value);
}

type Encode = NumericFormat<BlockParams>['encode'];

function encoderOf(name: GgmlTypeName, { levels }: SimpleType): Encode {
  if ('table' in levels) {
    const sorted = sortedLevels(levels.table);
    return (value, { inverse }) => sorted.codes[nearestPlace(sorted, value * inverse)]!;
  }
  const { zero, top } = levels;
  return name === 'q8_0' || top === 2 ? halfAway(zero, top) : halfUp(zero, top);
}

/** C's cast of x + zero + ½ to an integer. */
function halfUp(zero: number, top: number): Encode {
  const shift = zero + 0.5;
  return (value, { origin, inverse }) => {
    const code = f32(f32(f32(value - origin) * inverse) + shift);
    // biome-ignore lint/complexity/useMathMinMax: a hot path
    return (code < 0 ? 0 : code > top ? top : code) | 0;
  };
}

/** C's roundf: halves away from 0. */
function halfAway(zero: number, top: number): Encode {
  return (value, { inverse }) => {
    const x = f32(f32(value) * inverse);
    const code = (x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5)) + zero;
    // biome-ignore lint/complexity/useMathMinMax: a hot path
    return (code < 0 ? 0 : code > top ? top : code) | 0;
  };
}
