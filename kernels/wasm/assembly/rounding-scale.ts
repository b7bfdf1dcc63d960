// Scales of rounded inputs, and their codes. What is computed, in which order and in float32, is said by the formats of @fewbit/formats; every bit is
// theirs, so nothing here is fused. Kernels that round have the rounding at arguments 6 to 20: group, kind, steps, top, zero, scale of zeros, the scale
// that is given, and of the small float the bits of its mantissa, its largest and its smallest normal number; the tensor's divisor, the outlier
// threshold, tokens that share a scale, the type of scales, whether one is given.

import { integer, real } from './argument';
import { loadUpTo } from './vector';

const kindAsymmetric = 1;
export const kindHalves = 2;
const kindPower = 4;
const kindNested = 5;
const kindSigned = 6;
const kindFree = 7;

const typeHalf = 1;
const typeShort = 2;

const magnitudeBits: i32 = 0x7fffffff;
const infinity: i32 = 0x7f800000;
/** Added and taken away, it rounds |x| < 2^22 to the nearest integer, halves to even. */
const wholes: f32 = 12582912;

/** What the values of one run share; the zero point of floats is 0, the scale of halves their absmax. */
export let runScale: f32 = 0;
export let runZero: f32 = 0;

/** What a scale is fitted to: max |x| as bits, the first value that has it, and the ends. */
let magnitude: i32 = 0;
let extreme: f32 = 0;
let low: f32 = Infinity;
let high: f32 = -Infinity;

/** Finds the scale of a run, or takes the one that is given. */
export function fitRun(x: usize, count: i32, strict: bool): void {
  startFit();
  if (integer(20) === 0) widenFit(x, count, strict);
  endFit();
}

/** Forgets the values of another run. */
export function startFit(): void {
  magnitude = 0;
  extreme = 0;
  low = Infinity;
  high = -Infinity;
}

/** Takes in `count` values, zeros where x is 0; where `strict`, those that reach the outlier threshold count as zeros. */
export function widenFit(x: usize, count: i32, strict: bool): void {
  const kind = integer(7);
  if (kind === kindAsymmetric || kind === kindFree) {
    widenRange(x, count, strict);
    return;
  }
  const most = x === 0 ? 0 : largestMagnitude(x, count, strict);
  if (most <= magnitude) return;
  magnitude = most;
  if (kind === kindSigned) extreme = firstOf(most, x, count, strict);
}

/** `runScale` and `runZero` of what was taken in. */
export function endFit(): void {
  const kind = integer(7);
  runZero = <f32>real(10);
  if (integer(20) !== 0) runScale = <f32>real(12);
  else if (kind === kindAsymmetric || kind === kindFree) fitRange(kind);
  else if (kind === kindPower) runScale = powerOf();
  else if (kind === kindNested) runScale = nestedOf(reinterpret<f32>(magnitude));
  else if (kind === kindHalves) runScale = min(f32x4.extract_lane(half(f32x4.splat(reinterpret<f32>(magnitude))), 0), 65504);
  else if (magnitude === 0) runScale = <f32>real(11);
  else runScale = storable((kind === kindSigned ? extreme : reinterpret<f32>(magnitude)) / <f32>real(8));
}

function widenRange(x: usize, count: i32, strict: bool): void {
  if (x === 0) {
    low = min(low, 0);
    high = max(high, 0);
    return;
  }
  let least = f32x4.splat(low);
  let most = f32x4.splat(high);
  for (let j = 0; j < count; j += 4) {
    const value = valuesAt(x, j, count, strict);
    // lanes behind the last value have its first one
    const inside = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count - j));
    const repeated = v128.bitselect(value, v128.shuffle<f32>(value, value, 0, 0, 0, 0), inside);
    least = f32x4.min(least, repeated);
    most = f32x4.max(most, repeated);
  }
  low = min(
    min(f32x4.extract_lane(least, 0), f32x4.extract_lane(least, 1)),
    min(f32x4.extract_lane(least, 2), f32x4.extract_lane(least, 3)),
  );
  high = max(max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)), max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)));
}

/** Scale and zero point of a range. */
function fitRange(kind: i32): void {
  let least = low;
  let most = high;
  if (kind === kindAsymmetric || !(least < most)) {
    least = min(least, 0);
    most = max(most, 0);
  }
  if (least === most) {
    least = -1;
    most = 1;
  }
  runScale = storable((most - least) / <f32>real(8));
  runZero = min(max(nearest<f32>(-least / runScale), 0), <f32>real(9));
}

/** The power of two of an E8M0 byte: absmax's exponent, one more from 1.75 on, less `steps`. */
function powerOf(): f32 {
  const e = min(max(((magnitude + (1 << 21)) >> 23) - integer(8), 0), 254);
  return reinterpret<f32>(e === 0 ? 0x00400000 : e << 23);
}

/** An E4M3 number ÷ the tensor's divisor; where there is none, the run is a tensor of its own, whose divisor is 1 where it is no float. */
function nestedOf(absmax: f32): f32 {
  let divisor = <f32>real(16);
  if (divisor === 0) {
    divisor = <f32>(448 * <f32>real(14)) / max(absmax, reinterpret<f32>(0x00800000));
    if (!(divisor < Infinity)) divisor = 1;
  }
  const ideal = divisor * (absmax / <f32>real(8));
  const block = f32x4.extract_lane(smallFloat(f32x4.splat(ideal), 3, 448, 0.015625), 0);
  return (block === 0 ? <f32>0.125 : block) / divisor;
}

/** As it is stored: never 0 and never infinite. */
function storable(scale: f32): f32 {
  const type = integer(19);
  const size = abs(scale);
  let rounded = size;
  let smallest = reinterpret<f32>(1);
  let largest = reinterpret<f32>(0x7f7fffff);
  if (type === typeHalf) {
    rounded = f32x4.extract_lane(half(f32x4.splat(size)), 0);
    smallest = reinterpret<f32>(0x33800000);
    largest = 65504;
  } else if (type === typeShort) {
    const word = reinterpret<i32>(size);
    rounded = reinterpret<f32>((word + 0x7fff + ((word >> 16) & 1)) & ~0xffff);
    smallest = reinterpret<f32>(0x10000);
    largest = reinterpret<f32>(0x7f7f0000);
  }
  return copysign(min(max(rounded, smallest), largest), scale);
}

/** Four codes of the run: integers, or small floats, as floats. Not of halves. */
export function codesOf(values: v128): v128 {
  const quotient = f32x4.div(values, f32x4.splat(runScale));
  const mantissa = integer(13);
  if (mantissa !== 0) return smallFloat(quotient, mantissa, <f32>real(14), <f32>real(15));
  const code = f32x4.add(f32x4.nearest(quotient), f32x4.splat(runZero));
  return f32x4.max(f32x4.splat(0), f32x4.min(f32x4.splat(<f32>real(9)), code));
}

/** The nearest number of the small float, halves to the even one, saturating. */
function smallFloat(value: v128, mantissa: i32, largest: f32, smallestNormal: f32): v128 {
  const dropped = 23 - mantissa;
  const magnitude = f32x4.min(f32x4.abs(value), f32x4.splat(largest));
  const rounder = f32x4.splat(wholes * smallestNormal * <f32>(1.0 / <f64>(1 << mantissa)));
  const small = f32x4.sub(f32x4.add(magnitude, rounder), rounder);
  const odd = v128.and(i32x4.shr_u(magnitude, dropped), i32x4.splat(1));
  const large = v128.and(i32x4.add(i32x4.add(magnitude, i32x4.splat((1 << (dropped - 1)) - 1)), odd), i32x4.splat(-1 << dropped));
  const rounded = v128.bitselect(small, large, f32x4.lt(magnitude, f32x4.splat(smallestNormal)));
  return v128.bitselect(rounded, value, i32x4.splat(magnitudeBits));
}

/** The nearest half, halves to even; Inf beyond 65504. */
export function half(value: v128): v128 {
  const magnitude = f32x4.abs(value);
  const rounder = f32x4.splat(0.75); // 1.5·2^23 units of 2^-24
  const small = f32x4.sub(f32x4.add(magnitude, rounder), rounder);
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const large = v128.and(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xfff)), odd), i32x4.splat(~0x1fff));
  const finite = v128.bitselect(small, large, f32x4.lt(magnitude, f32x4.splat(0.00006103515625)));
  const rounded = v128.bitselect(f32x4.splat(Infinity), finite, f32x4.ge(magnitude, f32x4.splat(65520)));
  return v128.bitselect(rounded, value, i32x4.splat(magnitudeBits));
}

export function allFinite(x: usize, count: i32): bool {
  return largestMagnitude(x, count, false) < infinity;
}

/** max |x| as the bits of a float, which are in the same order; NaN and Inf above all. */
function largestMagnitude(x: usize, count: i32, strict: bool): i32 {
  let most = i32x4.splat(0);
  for (let j = 0; j < count; j += 4) most = i32x4.max_s(most, v128.and(valuesAt(x, j, count, strict), i32x4.splat(magnitudeBits)));
  const pairs = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  return max(i32x4.extract_lane(pairs, 0), i32x4.extract_lane(pairs, 1));
}

/** The first value of that magnitude. */
function firstOf(magnitude: i32, x: usize, count: i32, strict: bool): f32 {
  for (let j = 0; j < count; j++) {
    const value = f32x4.extract_lane(valuesAt(x, j, count, strict), 0);
    if ((reinterpret<i32>(value) & magnitudeBits) === magnitude) return value;
  }
  return 0;
}

/** Where values reach the outlier threshold: as the format sees them, LLM.int8()'s are halves. */
export function reached(values: v128): v128 {
  const seen = integer(7) === kindHalves ? half(values) : values;
  return f32x4.ge(f32x4.abs(seen), f32x4.splat(<f32>real(17)));
}

/** Four values; where `strict`, zeros in the place of those that reach the outlier threshold. */
export function valuesAt(x: usize, j: i32, count: i32, strict: bool): v128 {
  const value = loadUpTo(x + <usize>j * 4, count - j, 0);
  return strict ? v128.andnot(value, reached(value)) : value;
}
