// Scales of rounded inputs, and their codes. What is computed, in which order and in float32, is said by the formats of @fewbit/formats; every bit is
// theirs. Compilers fuse a product and the sum after it, so sums that round take magnitudes, which stand between.
#pragma once

#include "rows.h"

namespace {

using fewbit::RoundingKind;
using fewbit::RoundingShape;
using fewbit::ScaleType;

constexpr int32_t magnitudeBits = 0x7fffffff;
constexpr float infinity = __builtin_inff();

inline Floats magnitudeOf(Floats v) { return fromBits(bits(v) & magnitudeBits); }
inline Floats withSignOf(Floats magnitude, Floats v) { return fromBits(bits(magnitude) | (bits(v) & ~magnitudeBits)); }
inline Floats chosen(Ints where, Floats yes, Floats no) { return fromBits((bits(yes) & where) | (bits(no) & ~where)); }

/** The nearest integer, halves to even; what is beyond 2^22 stays far from every code. */
inline Floats nearest(Floats v) {
  constexpr float wholes = 12582912;
  return withSignOf(magnitudeOf(v) + wholes - wholes, v);
}

/** The nearest number with a mantissa of 23 − dropped bits, halves to the even one; below smallestNormal a multiple of the same unit. */
inline Floats nearestFloat(Floats magnitude, int dropped, float smallestNormal, float unit) {
  const float wholes = 12582912 * unit;
  const Floats small = magnitude + wholes - wholes;
  const Ints large = (bits(magnitude) + ((1 << (dropped - 1)) - 1) + ((bits(magnitude) >> dropped) & 1)) & -(1 << dropped);
  return chosen(magnitude < smallestNormal, small, fromBits(large));
}

/** Inf beyond 65504. */
inline Floats nearestHalf(Floats v) {
  const Floats magnitude = magnitudeOf(v);
  const Floats rounded = nearestFloat(magnitude, 13, 0x1p-14f, 0x1p-24f);
  return withSignOf(chosen(magnitude >= 65520.f, all(infinity), rounded), v);
}

inline float fromBits(int32_t word) {
  float value;
  memcpy(&value, &word, 4);
  return value;
}

/** max |x| as the bits of a float, which are in the same order; NaN and Inf above all. */
template <class Values>
inline int32_t largestMagnitude(Index count, Values values) {
  Ints most = {};
  byVectors(count, [&](Index i, Index part) {
    const Ints word = bits(values(i, part)) & magnitudeBits;
    most = word > most ? word : most;
  });
  int32_t largest = 0;
  for (int lane = 0; lane < lanes; lane++) largest = most[lane] > largest ? most[lane] : largest;
  return largest;
}

inline bool allFinite(const float *x, Index count) {
  return largestMagnitude(count, [&](Index i, Index part) { return loadUpTo(x + i, part); }) < 0x7f800000;
}

/** What a scale is fitted to; of it, what the kind of rounding asks for. */
struct Extent {
  /** max |x|, as bits. */
  int32_t magnitude = 0;
  /** The first value that has it. */
  float extreme = 0;
  float low = infinity, high = -infinity;
};

template <class Values>
inline float firstOfMagnitude(int32_t magnitude, Index count, Values values) {
  for (Index i = 0; i < count; i++) {
    const float value = values(i, 1)[0];
    if ((bits(all(value))[0] & magnitudeBits) == magnitude) return value;
  }
  return 0;
}

template <class Values>
inline Extent extentOf(RoundingKind kind, Index count, Values values) {
  Extent found;
  if (kind != RoundingKind::asymmetric && kind != RoundingKind::freeRange) {
    found.magnitude = largestMagnitude(count, values);
    if (kind == RoundingKind::signedScale) found.extreme = firstOfMagnitude(found.magnitude, count, values);
    return found;
  }
  Floats low = all(infinity), high = all(-infinity);
  byVectors(count, [&](Index i, Index part) {
    Floats value = values(i, part);
    for (Index lane = part; lane < lanes; lane++) value[lane] = value[0];
    low = smaller(value, low);
    high = larger(value, high);
  });
  for (int lane = 0; lane < lanes; lane++) {
    found.low = low[lane] < found.low ? low[lane] : found.low;
    found.high = high[lane] > found.high ? high[lane] : found.high;
  }
  return found;
}

/** Of two runs, one after the other. */
inline Extent joined(const Extent &a, const Extent &b) {
  Extent both = b.magnitude > a.magnitude ? b : a;
  both.low = a.low < b.low ? a.low : b.low;
  both.high = a.high > b.high ? a.high : b.high;
  return both;
}

/** What the values of one run share; floats have zero 0, halves their absmax for a scale. */
struct RunScale {
  float scale, zero;
};

/** As it is stored: never 0 and never infinite. */
inline float storable(ScaleType type, float scale) {
  const Floats magnitude = magnitudeOf(all(scale));
  float rounded = magnitude[0], smallest = fromBits(1), largest = 3.40282347e38f;
  if (type == ScaleType::f16) rounded = nearestHalf(magnitude)[0], smallest = 0x1p-24f, largest = 65504;
  if (type == ScaleType::bf16) rounded = nearestFloat(magnitude, 16, 0x1p-126f, 0x1p-133f)[0], smallest = 0x1p-133f, largest = 0x1.fep127f;
  if (rounded == 0) rounded = smallest;
  if (rounded > largest) rounded = largest;
  return withSignOf(all(rounded), all(scale))[0];
}

/** Scale and zero point of what low … high spans. */
inline RunScale scaleOfRange(const RoundingShape &shape, float low, float high) {
  if (shape.kind == RoundingKind::asymmetric || !(low < high)) {
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
  }
  if (low == high) low = -1, high = 1;
  const float scale = storable(shape.scaleType, (high - low) / shape.steps);
  const float code = nearest(all(-low / scale))[0];
  return {scale, code > 0 ? (code < shape.top ? code : shape.top) : 0};
}

/** The tensor's scale of NVFP4 as its reciprocal, where a run is a tensor of its own: 1 where that is no float. */
inline float ownDivisor(float largest, float absmax) {
  const float divisor = 448 * largest / (absmax > 0x1p-126f ? absmax : 0x1p-126f);
  return divisor < infinity ? divisor : 1;
}

inline float scaleUnderTensor(const RoundingShape &shape, float absmax) {
  const float divisor = shape.divisor != 0 ? shape.divisor : ownDivisor(shape.largest, absmax);
  const float ideal = divisor * (absmax / shape.steps);
  const float block = nearestFloat(smaller(all(ideal), all(448.f)), 20, 0x1p-6f, 0x1p-9f)[0];
  return (block == 0 ? 0.125f : block) / divisor;
}

/** absmax's own power of two, one more from 1.75 on, less `steps`. */
inline float powerOfTwo(const RoundingShape &shape, int32_t magnitude) {
  const int32_t e = smallerOf(largerOf(((magnitude + (1 << 21)) >> 23) - Index(shape.steps), 0), 254);
  return fromBits(e == 0 ? 0x00400000 : e << 23);
}

inline RunScale fitted(const RoundingShape &shape, const Extent &extent) {
  const float absmax = fromBits(extent.magnitude);
  switch (shape.kind) {
    case RoundingKind::asymmetric:
    case RoundingKind::freeRange: return scaleOfRange(shape, extent.low, extent.high);
    case RoundingKind::power: return {powerOfTwo(shape, extent.magnitude), 0};
    case RoundingKind::nested: return {scaleUnderTensor(shape, absmax), 0};
    case RoundingKind::halves: return {smaller(nearestHalf(all(absmax)), all(65504.f))[0], 0};
    default: break;
  }
  if (absmax == 0) return {shape.emptyScale, shape.zero};
  const float bound = shape.kind == RoundingKind::signedScale ? extent.extreme : absmax;
  return {storable(shape.scaleType, bound / shape.steps), shape.zero};
}

/** The one that is given, or the run's own. */
template <class Values>
inline RunScale scaleOfRun(const RoundingShape &shape, Index count, Values values) {
  if (shape.given) return {shape.scale, shape.zero};
  return fitted(shape, extentOf(shape.kind, count, values));
}

/** The nearest integer code, or the nearest small float. Not for halves. */
inline Floats codesOf(const RoundingShape &shape, RunScale run, Floats values) {
  const Floats quotient = values / run.scale;
  if (shape.mantissa == 0) return larger(smaller(nearest(quotient) + run.zero, all(shape.top)), Floats{});
  const float unit = shape.smallestNormal / float(1 << shape.mantissa);
  const Floats magnitude = smaller(magnitudeOf(quotient), all(shape.largest));
  return withSignOf(nearestFloat(magnitude, 23 - shape.mantissa, shape.smallestNormal, unit), quotient);
}

inline Floats valuesOf(Floats codes, RunScale run) { return (codes - run.zero) * run.scale; }

}  // namespace
