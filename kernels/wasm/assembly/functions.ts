// Transcendental functions on four floats, each within about 1e-7 of the exact value (relative, but for gelu near its tail). The polynomials were
// fitted by iteratively reweighted least squares (minimax) for this file, on the intervals given.

import * as id from '../src/control';
import { madd } from './vector';

/** Adding it rounds a small float to a whole number, which stands in the low bits of the sum: 1.5·2²³. */
const rounder: f32 = 12582912;

/** eˣ = 2ⁿ·eʳ, |r| ≤ ln 2 / 2. Saturates: below −87 about 1e-38, above 88.4 infinity. */
export function exp(x: v128): v128 {
  const inside = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-87)), f32x4.splat(88.7));
  const shifted = madd(inside, f32x4.splat(<f32>Math.LOG2E), f32x4.splat(rounder));
  const n = f32x4.sub(shifted, f32x4.splat(rounder));
  // ln 2 in two parts, so that n·high is exact.
  const r = madd(n, f32x4.splat(2.1219444e-4), madd(n, f32x4.splat(-0.693359375), inside));
  let p = f32x4.splat(0.0013950822);
  p = madd(p, r, f32x4.splat(0.008369089));
  p = madd(p, r, f32x4.splat(0.0416662));
  p = madd(p, r, f32x4.splat(0.16666517));
  p = madd(p, r, f32x4.splat(0.5));
  p = f32x4.add(madd(f32x4.mul(r, r), p, r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(shifted, i32x4.splat(127)), 23);
  return f32x4.mul(p, power);
}

export function tanh(x: v128): v128 {
  const square = f32x4.mul(x, x);
  let p = f32x4.splat(-0.0056607347);
  p = madd(p, square, f32x4.splat(0.020601952));
  p = madd(p, square, f32x4.splat(-0.05372921));
  p = madd(p, square, f32x4.splat(0.13331328));
  p = madd(p, square, f32x4.splat(-0.33333278));
  const near = madd(f32x4.mul(x, square), p, x);
  const twice = f32x4.abs(f32x4.add(x, x));
  const one = f32x4.splat(1);
  const far = f32x4.sub(one, f32x4.div(f32x4.splat(2), f32x4.add(exp(twice), one)));
  const sign = v128.and(x, i32x4.splat(0x80000000));
  return v128.bitselect(near, v128.or(far, sign), f32x4.lt(square, f32x4.splat(0.4)));
}

/** cap·tanh(x/cap). */
export function capped(x: v128, cap: f32): v128 {
  return f32x4.mul(f32x4.splat(cap), tanh(f32x4.div(x, f32x4.splat(cap))));
}

export function activation(x: v128, kind: i32): v128 {
  switch (kind) {
    case id.silu:
      return timesSigmoid(x, x);
    case id.gelu:
      return gelu(x);
    case id.geluTanh:
      return geluTanh(x);
    default:
      return f32x4.pmax(x, f32x4.splat(0));
  }
}

/** x·σ(t). */
function timesSigmoid(x: v128, t: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(x, f32x4.add(one, exp(f32x4.neg(t))));
}

/** x/2·(1 + tanh u) = x·σ(2u), which does not cancel. */
function geluTanh(x: v128): v128 {
  const cubic = madd(f32x4.mul(f32x4.mul(x, x), x), f32x4.splat(0.0713548162726), f32x4.mul(x, f32x4.splat(1.59576912161)));
  return timesSigmoid(x, cubic);
}

/** x·Φ(x), by erfc t = exp(−t²)·y·Q(y), y = 1/(1 + 0.35 t), t = |x|/√2 in [0, 12]. */
function gelu(x: v128): v128 {
  const one = f32x4.splat(1);
  const t = f32x4.pmin(f32x4.mul(f32x4.abs(x), f32x4.splat(<f32>Math.SQRT1_2)), f32x4.splat(12));
  const y = f32x4.div(one, madd(t, f32x4.splat(0.35), one));
  let q = f32x4.splat(0.0406104438);
  q = madd(q, y, f32x4.splat(-0.171181533));
  q = madd(q, y, f32x4.splat(0.210939238));
  q = madd(q, y, f32x4.splat(-0.0680044298));
  q = madd(q, y, f32x4.splat(0.121451618));
  q = madd(q, y, f32x4.splat(0.127011097));
  q = madd(q, y, f32x4.splat(0.15797676));
  q = madd(q, y, f32x4.splat(0.186396802));
  q = madd(q, y, f32x4.splat(0.197326283));
  q = madd(q, y, f32x4.splat(0.197473729));
  const half = f32x4.mul(f32x4.mul(f32x4.splat(0.5), exp(f32x4.neg(f32x4.mul(t, t)))), f32x4.mul(y, q));
  const phi = v128.bitselect(half, f32x4.sub(one, half), f32x4.lt(x, f32x4.splat(0)));
  return f32x4.mul(x, phi);
}
