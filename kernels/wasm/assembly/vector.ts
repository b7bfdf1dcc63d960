// Small vector helpers. The relaxed build fuses a·b + c into one rounding; the plain build rounds twice.

export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

export function maddDouble(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f64x2.relaxed_madd(a, b, c);
  return f64x2.add(f64x2.mul(a, b), c);
}

/** c − a·b. */
export function nmaddDouble(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f64x2.relaxed_nmadd(a, b, c);
  return f64x2.sub(c, f64x2.mul(a, b));
}

export function sum(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

export function sumDouble(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}

export function largest(v: v128): f32 {
  const pairs = f32x4.max(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

/** The four lanes of v added to two double sums. */
export function addWidened(total: v128, v: v128): v128 {
  const high = v128.shuffle<f32>(v, v, 2, 3, 2, 3);
  return f64x2.add(total, f64x2.add(f64x2.promote_low_f32x4(v), f64x2.promote_low_f32x4(high)));
}

/** Up to four floats; the lanes past `count` hold `fill`. */
export function loadUpTo(at: usize, count: i32, fill: f32): v128 {
  return count >= 4 ? v128.load(at) : loadPart(at, count, fill);
}

export function storeUpTo(at: usize, count: i32, v: v128): void {
  if (count >= 4) v128.store(at, v);
  else storePart(at, count, v);
}

function loadPart(at: usize, count: i32, fill: f32): v128 {
  let v = f32x4.splat(fill);
  if (count > 2) v = f32x4.replace_lane(v, 2, load<f32>(at, 8));
  if (count > 1) v = f32x4.replace_lane(v, 1, load<f32>(at, 4));
  return f32x4.replace_lane(v, 0, load<f32>(at));
}

function storePart(at: usize, count: i32, v: v128): void {
  store<f32>(at, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(at, f32x4.extract_lane(v, 1), 4);
  if (count > 2) store<f32>(at, f32x4.extract_lane(v, 2), 8);
}
