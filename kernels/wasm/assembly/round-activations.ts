// Inputs as a layer with rounded activations sees them: codes and back. What is computed, in which order and in float32, is said by the formats of
// @fewbit/formats; every bit is theirs, so nothing here is fused.

import { maskColumns } from '../src/control';
import { integer, pointer, real } from './argument';
import { loadUpTo, storeUpTo } from './vector';

const kindAsymmetric = 1;
const kindHalves = 2;
const kindFloat = 3;
const kindPower = 4;
const kindNested = 5;

const magnitudeBits: i32 = 0x7fffffff;
const infinity: i32 = 0x7f800000;
/** Added and taken away, it rounds |x| < 2^22 to the nearest integer, halves to even. */
const wholes: f32 = 12582912;

/** Marks the features that stay: all bits where no |x| of the column reaches the threshold. Arguments: x, mask, rows, columns, threshold. */
export function outlierMask(task: i32): void {
  const columns = integer(3);
  const threshold = f32x4.splat(<f32>real(4));
  for (let j = task * maskColumns; j < min(columns, (task + 1) * maskColumns); j += 4) {
    let reached = i32x4.splat(0);
    for (let i = 0; i < integer(2); i++) {
      const value = loadUpTo(pointer(0) + (<usize>i * <usize>columns + <usize>j) * 4, columns - j, 0);
      reached = v128.or(reached, f32x4.ge(f32x4.abs(value), threshold));
    }
    v128.store(pointer(1) + <usize>j * 4, v128.not(reached));
  }
}

/**
 * Arguments: x, out, rows, columns, rows per task, mask or 0, group, kind, steps, top, zero, scale of zeros, stored scale or 0, and of the
 * small float the bits of its mantissa, its largest and its smallest normal number; the tensor's divisor.
 */
export function roundActivations(task: i32): void {
  const columns = integer(3);
  const share = integer(4);
  const group = integer(6);
  for (let i = task * share; i < min(integer(2), (task + 1) * share); i++) {
    const x = pointer(0) + <usize>i * <usize>columns * 4;
    const out = pointer(1) + <usize>i * <usize>columns * 4;
    if (!allFinite(x, columns)) {
      for (let j = 0; j < columns; j += 4) storeUpTo(out + <usize>j * 4, columns - j, f32x4.splat(NaN));
      continue;
    }
    for (let j = 0; j < columns; j += group) {
      const at = <usize>j * 4;
      const mask = pointer(5) === 0 ? 0 : pointer(5) + at;
      roundRun(x + at, out + at, min(group, columns - j), mask);
    }
  }
}

/** Values of one scale. */
function roundRun(x: usize, out: usize, count: i32, mask: usize): void {
  if (integer(7) === kindHalves) {
    roundHalves(x, out, count, mask);
    return;
  }
  fitRun(x, count, mask);
  const step = f32x4.splat(runScale);
  const middle = f32x4.splat(runZero);
  for (let j = 0; j < count; j += 4) {
    put(out, x, j, count, mask, f32x4.mul(f32x4.sub(codesOf(masked(x, j, count, mask)), middle), step));
  }
}

/** What the values of one run share, as `fitRun` found it; the zero point of floats is 0. */
export let runScale: f32 = 0;
export let runZero: f32 = 0;

/** Finds `runScale` and `runZero`, or takes those that are given. Not for LLM.int8(). */
export function fitRun(x: usize, count: i32, mask: usize): void {
  const kind = integer(7);
  runScale = <f32>real(12);
  runZero = <f32>real(10);
  if (kind === kindPower) runScale = powerOf(largestMagnitude(x, count, mask));
  else if (kind === kindNested) runScale = nestedOf(largestMagnitude(x, count, mask));
  else if (runScale !== 0) return;
  else if (kind === kindAsymmetric) fitRange(x, count, mask);
  else runScale = scaleOf(x, count, mask);
}

/** Scale and zero point of a range that holds 0. */
function fitRange(x: usize, count: i32, mask: usize): void {
  let low = f32x4.splat(0);
  let high = f32x4.splat(0);
  for (let j = 0; j < count; j += 4) {
    const value = masked(x, j, count, mask);
    low = f32x4.min(low, value);
    high = f32x4.max(high, value);
  }
  let least = min(min(f32x4.extract_lane(low, 0), f32x4.extract_lane(low, 1)), min(f32x4.extract_lane(low, 2), f32x4.extract_lane(low, 3)));
  let most = max(
    max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)),
    max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)),
  );
  if (least === most) {
    least = -1;
    most = 1;
  }
  runScale = storable((most - least) / <f32>real(8));
  runZero = min(max(nearest<f32>(-least / runScale), 0), <f32>real(9));
}

/** Four codes of the run: integers, or small floats, as floats. */
export function codesOf(values: v128): v128 {
  const quotient = f32x4.div(values, f32x4.splat(runScale));
  if (integer(7) >= kindFloat) return smallFloat(quotient, integer(13), <f32>real(14), <f32>real(15));
  const code = f32x4.add(f32x4.nearest(quotient), f32x4.splat(runZero));
  return f32x4.max(f32x4.splat(0), f32x4.min(f32x4.splat(<f32>real(9)), code));
}

/** LLM.int8(). */
function roundHalves(x: usize, out: usize, count: i32, mask: usize): void {
  const steps = <f32>real(8);
  const most = reinterpret<f32>(largestMagnitude(x, count, mask));
  const absmax = min(f32x4.extract_lane(half(f32x4.splat(most)), 0), 65504);
  const perUnit: f32 = absmax === 0 ? 0 : <f32>(<f32>1 / absmax) * steps;
  const perStep: f32 = <f32>1 / steps;
  for (let j = 0; j < count; j += 4) {
    const code = f32x4.nearest(f32x4.mul(half(masked(x, j, count, mask)), f32x4.splat(perUnit)));
    // + 0: no −0
    const inside = f32x4.add(f32x4.max(f32x4.splat(-steps), f32x4.min(f32x4.splat(steps), code)), f32x4.splat(0));
    put(out, x, j, count, mask, f32x4.mul(f32x4.mul(inside, f32x4.splat(absmax)), f32x4.splat(perStep)));
  }
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

/** absmax ÷ steps. */
function scaleOf(x: usize, count: i32, mask: usize): f32 {
  const most = reinterpret<f32>(largestMagnitude(x, count, mask));
  return most === 0 ? <f32>real(11) : storable(most / <f32>real(8));
}

/** The power of two of an E8M0 byte: absmax's exponent, one more from 1.75 on, less `steps`. */
function powerOf(magnitude: i32): f32 {
  const e = min(max(((magnitude + (1 << 21)) >> 23) - integer(8), 0), 254);
  return reinterpret<f32>(e === 0 ? 0x00400000 : e << 23);
}

/** An E4M3 number ÷ the tensor's divisor. */
function nestedOf(magnitude: i32): f32 {
  const divisor = <f32>real(16);
  const ideal = divisor * (reinterpret<f32>(magnitude) / <f32>real(8));
  const block = f32x4.extract_lane(smallFloat(f32x4.splat(ideal), 3, 448, 0.015625), 0);
  return (block === 0 ? <f32>0.125 : block) / divisor;
}

export function allFinite(x: usize, count: i32): bool {
  return largestMagnitude(x, count, 0) < infinity;
}

/** Never 0 and never infinite. */
function storable(scale: f32): f32 {
  return min(max(scale, reinterpret<f32>(1)), reinterpret<f32>(0x7f7fffff));
}

/** max |x| as the bits of a float, which are in the same order; NaN and Inf above all. */
function largestMagnitude(x: usize, count: i32, mask: usize): i32 {
  let most = i32x4.splat(0);
  for (let j = 0; j < count; j += 4) most = i32x4.max_s(most, v128.and(masked(x, j, count, mask), i32x4.splat(magnitudeBits)));
  const pairs = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  return max(i32x4.extract_lane(pairs, 0), i32x4.extract_lane(pairs, 1));
}

/** Four values, zeros in the place of outliers. */
function masked(x: usize, j: i32, count: i32, mask: usize): v128 {
  const at = <usize>j * 4;
  const value = loadUpTo(x + at, count - j, 0);
  return mask === 0 ? value : v128.and(value, v128.load(mask + at));
}

/** Stores what was rounded, and outliers as they are. */
function put(out: usize, x: usize, j: i32, count: i32, mask: usize, rounded: v128): void {
  const at = <usize>j * 4;
  const value = mask === 0 ? rounded : v128.bitselect(rounded, loadUpTo(x + at, count - j, 0), v128.load(mask + at));
  storeUpTo(out + at, count - j, value);
}
