// Inputs as a layer with rounded activations sees them: codes and back. What is computed, in which order and in float32, is said by the formats of
// @fewbit/formats; every bit is theirs. Compilers fuse a product and the sum after it, so sums that round take magnitudes, which stand between.
#pragma once

#include <vector>

#include "rows.h"

namespace {

using fewbit::RoundingKind;
using fewbit::RoundingShape;

constexpr int32_t magnitudeBits = 0x7fffffff;

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
  return withSignOf(chosen(magnitude >= 65520.f, all(__builtin_inff()), rounded), v);
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

/** Never 0 and never infinite. */
inline float storable(float scale) {
  if (scale == 0) return fromBits(1);
  return scale > 3.40282347e38f ? 3.40282347e38f : scale;
}

/** The scale of a run of values. */
template <class Values>
inline float scaleOf(const RoundingShape &shape, Index count, Values values) {
  const int32_t word = largestMagnitude(count, values);
  if (shape.kind == RoundingKind::power) {
    const int32_t e = smallerOf(largerOf(((word + (1 << 21)) >> 23) - Index(shape.steps), 0), 254);
    return fromBits(e == 0 ? 0x00400000 : e << 23);
  }
  if (shape.kind == RoundingKind::nested) {
    const float ideal = shape.divisor * (fromBits(word) / shape.steps);
    const float block = nearestFloat(smaller(all(ideal), all(448.f)), 20, 0x1p-6f, 0x1p-9f)[0];
    return (block == 0 ? 0.125f : block) / shape.divisor;
  }
  return word == 0 ? shape.emptyScale : storable(fromBits(word) / shape.steps);
}

/** Scale and zero point of a range that holds 0. */
template <class Values>
inline void fitRange(const RoundingShape &shape, Index count, Values values, float &scale, float &zero) {
  Floats low = {}, high = {};
  byVectors(count, [&](Index i, Index part) {
    const Floats value = values(i, part);
    low = smaller(value, low);
    high = larger(value, high);
  });
  float least = 0, most = 0;
  for (int lane = 0; lane < lanes; lane++) {
    least = low[lane] < least ? low[lane] : least;
    most = high[lane] > most ? high[lane] : most;
  }
  if (least == most) least = -1, most = 1;
  scale = storable((most - least) / shape.steps);
  const float code = nearest(all(-least / scale))[0];
  zero = code < shape.top ? code : shape.top;
}

/** What the values of one run share; floats have zero 0. */
struct RunScale {
  float scale, zero;
};

/** The run's own, or the one that is given. Not for `halves`. */
template <class Values>
inline RunScale scaleOfRun(const RoundingShape &shape, Index count, Values values) {
  RunScale run{shape.scale, shape.zero};
  if (run.scale != 0) return run;
  if (shape.kind == RoundingKind::asymmetric) fitRange(shape, count, values, run.scale, run.zero);
  else run.scale = scaleOf(shape, count, values);
  return run;
}

/** The nearest integer code, or the nearest small float. */
inline Floats codesOf(const RoundingShape &shape, RunScale run, Floats values) {
  const Floats quotient = values / run.scale;
  if (shape.kind == RoundingKind::symmetric || shape.kind == RoundingKind::asymmetric)
    return larger(smaller(nearest(quotient) + run.zero, all(shape.top)), Floats{});
  const float unit = shape.smallestNormal / float(1 << shape.mantissa);
  const Floats magnitude = smaller(magnitudeOf(quotient), all(shape.largest));
  return withSignOf(nearestFloat(magnitude, 23 - shape.mantissa, shape.smallestNormal, unit), quotient);
}

inline Floats valuesOf(Floats codes, RunScale run) { return (codes - run.zero) * run.scale; }

/** LLM.int8() of one run: values rounded to half precision first, absmax for a scale. */
template <class Values, class Put>
inline void roundHalves(const RoundingShape &shape, Index count, Values values, Put put) {
  const float bound = nearestHalf(all(fromBits(largestMagnitude(count, values))))[0];
  const float absmax = bound < 65504 ? bound : 65504;
  const float inverse = 1 / absmax;
  const float perUnit = absmax == 0 ? 0 : inverse * shape.steps;
  const float perStep = 1 / shape.steps;
  byVectors(count, [&](Index i, Index part) {
    const Floats code = nearest(nearestHalf(values(i, part)) * perUnit);
    const Floats inside = larger(smaller(code, all(shape.steps)), all(-shape.steps)) + 0.f;  // no −0
    put(i, part, inside * absmax * perStep);
  });
}

/** Calls put(i, count, rounded) for the values of one scale. */
template <class Values, class Put>
inline void roundRun(const RoundingShape &shape, Index count, Values values, Put put) {
  if (shape.kind == RoundingKind::halves) return roundHalves(shape, count, values, put);
  const RunScale run = scaleOfRun(shape, count, values);
  byVectors(count, [&](Index i, Index part) { put(i, part, valuesOf(codesOf(shape, run, values(i, part)), run)); });
}

/** All bits of a feature's word where no |x| of its column reaches the threshold, none where one does. */
inline void markInliers(Pool &pool, const float *x, Index rows, Index n, float threshold, float *mask) {
  constexpr Index stretch = 4 * lanes;
  parallel(pool, quotientUp(n, stretch), 0, [&](Index task, char *) {
    const Index first = task * stretch;
    byVectors(smallerOf(stretch, n - first), [&](Index i, Index part) {
      Ints reached = {};
      for (Index row = 0; row < rows; row++) reached |= magnitudeOf(loadUpTo(x + row * n + first + i, part)) >= threshold;
      storeUpTo(mask + first + i, fromBits(~reached), part);
    });
  });
}

void roundActivations(Pool &pool, const float *x, float *out, Index rows, Index n, const RoundingShape &shape) {
  std::vector<float> mask(shape.outlierThreshold > 0 ? n : 0);
  if (!mask.empty()) markInliers(pool, x, rows, n, shape.outlierThreshold, mask.data());
  const float *inlier = mask.empty() ? nullptr : mask.data();
  byRows(pool, rows, n, [&](Index row) {
    const float *from = x + row * n;
    float *to = out + row * n;
    if (!allFinite(from, n)) {
      byVectors(n, [&](Index i, Index part) { storeUpTo(to + i, all(__builtin_nanf("")), part); });
      return;
    }
    for (Index first = 0; first < n; first += shape.group) {
      const auto value = [&](Index i, Index part) { return loadUpTo(from + first + i, part); };
      const auto where = [&](Index i, Index part) { return bits(loadUpTo(inlier + first + i, part)); };
      const Index count = smallerOf(shape.group, n - first);
      if (inlier)
        roundRun(
            shape, count, [&](Index i, Index part) { return fromBits(bits(value(i, part)) & where(i, part)); },
            [&](Index i, Index part, Floats rounded) { storeUpTo(to + first + i, chosen(where(i, part), rounded, value(i, part)), part); });
      else roundRun(shape, count, value, [&](Index i, Index part, Floats rounded) { storeUpTo(to + first + i, rounded, part); });
    }
  });
}

}  // namespace
