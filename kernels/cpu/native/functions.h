// Transcendental functions on vectors, each within about 1e-7 of the exact value (relative, but for gelu near its tail). The polynomials were
// fitted by iteratively reweighted least squares (minimax) on the intervals given; kernels/wasm uses the same.
#pragma once

#include "kernels.h"
#include "vector.h"

namespace {

using fewbit::Activation;

/** eˣ = 2ⁿ·eʳ, |r| ≤ ln 2 / 2. Saturates: below −87 about 1e-38, above 88.4 infinity; of NaN about 1e-38. */
inline Floats exponential(Floats x) {
  // Adding it rounds a small float to a whole number, which stands in the low bits of the sum: 1.5·2²³.
  constexpr float rounder = 12582912;
  const Floats inside = smaller(larger(x, all(-87.f)), all(88.7f));
  const Floats shifted = inside * 1.4426950408889634f + rounder;
  const Floats n = shifted - rounder;
  // ln 2 in two parts, so that n·high is exact.
  const Floats r = n * 2.1219444e-4f + (n * -0.693359375f + inside);
  Floats p = all(0.0013950822f);
  p = p * r + 0.008369089f;
  p = p * r + 0.0416662f;
  p = p * r + 0.16666517f;
  p = p * r + 0.5f;
  p = (r * r) * p + r + 1.f;
  return p * fromBits((bits(shifted) + 127) << 23);
}

/** Of NaN it is NaN. */
inline Floats hyperbolicTangent(Floats x) {
  const Floats square = x * x;
  Floats p = all(-0.0056607347f);
  p = p * square + 0.020601952f;
  p = p * square - 0.05372921f;
  p = p * square + 0.13331328f;
  p = p * square - 0.33333278f;
  const Floats near = (x * square) * p + x;
  const Ints sign = bits(x) & int32_t(0x80000000);
  const Floats twice = fromBits(bits(x + x) & 0x7fffffff);
  const Floats far = 1.f - 2.f / (exponential(twice) + 1.f);
  return square >= 0.4f ? fromBits(bits(far) | sign) : near;
}

/** cap·tanh(x/cap). */
inline Floats capped(Floats x, float cap) { return cap * hyperbolicTangent(x / cap); }

/** x·σ(t). */
inline Floats timesSigmoid(Floats x, Floats t) { return x / (exponential(-t) + 1.f); }

/** x/2·(1 + tanh u) = x·σ(2u), which does not cancel. */
inline Floats geluTanh(Floats x) { return timesSigmoid(x, (x * x) * x * 0.0713548162726f + x * 1.59576912161f); }

/** x·Φ(x), by erfc t = exp(−t²)·y·Q(y), y = 1/(1 + 0.35 t), t = |x|/√2 in [0, 12]. */
inline Floats gelu(Floats x) {
  const Floats t = smaller(fromBits(bits(x) & 0x7fffffff) * 0.70710678118654752f, all(12.f));
  const Floats y = 1.f / (t * 0.35f + 1.f);
  Floats q = all(0.0406104438f);
  q = q * y - 0.171181533f;
  q = q * y + 0.210939238f;
  q = q * y - 0.0680044298f;
  q = q * y + 0.121451618f;
  q = q * y + 0.127011097f;
  q = q * y + 0.15797676f;
  q = q * y + 0.186396802f;
  q = q * y + 0.197326283f;
  q = q * y + 0.197473729f;
  const Floats half = (0.5f * exponential(-(t * t))) * (y * q);
  return x * (x < 0.f ? half : 1.f - half);
}

template <Activation kind>
inline Floats activated(Floats x) {
  if constexpr (kind == Activation::silu) return timesSigmoid(x, x);
  if constexpr (kind == Activation::gelu) return gelu(x);
  if constexpr (kind == Activation::geluTanh) return geluTanh(x);
  return larger(x, Floats{});
}

}  // namespace
