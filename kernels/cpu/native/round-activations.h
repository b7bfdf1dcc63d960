// Inputs as a layer with rounded activations sees them: codes and back.
#pragma once

#include <vector>

#include "rounding-scale.h"

namespace {

/** LLM.int8() of one run: values rounded to half precision first, absmax for a scale. */
template <class Values, class Put>
inline void roundHalves(const RoundingShape &shape, float absmax, Index count, Values values, Put put) {
  const float inverse = 1 / absmax;
  const float perUnit = absmax == 0 ? 0 : inverse * shape.steps;
  const float perStep = 1 / shape.steps;
  byVectors(count, [&](Index i, Index part) {
    const Floats seen = absmax == 0 ? Floats{} : nearestHalf(values(i, part));
    const Floats code = nearest(seen * perUnit);
    const Floats inside = larger(smaller(code, all(shape.steps)), all(-shape.steps)) + 0.f;  // no −0
    put(i, part, inside * absmax * perStep);
  });
}

/** Calls put(i, count, rounded) for values of one scale. */
template <class Values, class Put>
inline void roundBy(const RoundingShape &shape, RunScale run, Index count, Values values, Put put) {
  if (shape.kind == RoundingKind::halves) return roundHalves(shape, run.scale, count, values, put);
  byVectors(count, [&](Index i, Index part) { put(i, part, valuesOf(codesOf(shape, run, values(i, part)), run)); });
}

/** Where values reach the outlier threshold: as the format sees them, LLM.int8()'s are halves. */
inline Ints reached(const RoundingShape &shape, Floats v) {
  return magnitudeOf(shape.kind == RoundingKind::halves ? nearestHalf(v) : v) >= shape.outlierThreshold;
}

/** Inputs [rows, n] that lie `stride` values apart, and which of their features stay. */
struct Inputs {
  const float *x;
  float *out;
  Index rows, n, stride;
  /** All bits of a feature's word where no value reaches the threshold, none where one does; null where there is no threshold. */
  const float *inliers;

  const float *row(Index i) const { return x + i * stride; }
  bool damaged(Index i) const { return !allFinite(row(i), n); }
};

/** of(values, put) for a part of a row: values without those that reach the threshold, and what puts them, rounded, in the place of those that do not stay. */
template <class Of>
inline void withPart(const RoundingShape &shape, const Inputs &in, Index row, Index first, Of of) {
  const float *from = in.row(row) + first;
  float *to = in.out + row * in.stride + first;
  const auto value = [=](Index i, Index part) { return loadUpTo(from + i, part); };
  if (!in.inliers) return of(value, [=](Index i, Index part, Floats rounded) { storeUpTo(to + i, rounded, part); });
  const float *inliers = in.inliers + first;
  of([&](Index i, Index part) { return fromBits(bits(value(i, part)) & ~reached(shape, value(i, part))); },
     [=](Index i, Index part, Floats rounded) { storeUpTo(to + i, chosen(bits(loadUpTo(inliers + i, part)), rounded, value(i, part)), part); });
}

/** A row with NaN or Inf becomes NaN. */
inline void putNaN(const Inputs &in, Index row, Index first, Index count) {
  float *to = in.out + row * in.stride + first;
  byVectors(count, [&](Index i, Index part) { storeUpTo(to + i, all(__builtin_nanf("")), part); });
}

inline void markInliers(Pool &pool, const RoundingShape &shape, const Inputs &in, float *inliers) {
  constexpr Index stretch = 4 * lanes;
  parallel(pool, quotientUp(in.n, stretch), 0, [&](Index task, char *) {
    const Index first = task * stretch;
    byVectors(smallerOf(stretch, in.n - first), [&](Index i, Index part) {
      Ints any = {};
      for (Index row = 0; row < in.rows; row++) any |= reached(shape, loadUpTo(in.row(row) + first + i, part));
      storeUpTo(inliers + first + i, fromBits(~any), part);
    });
  });
}

inline void roundRow(const RoundingShape &shape, const Inputs &in, Index row) {
  if (in.damaged(row)) return putNaN(in, row, 0, in.n);
  for (Index first = 0; first < in.n; first += shape.group) {
    const Index count = smallerOf(shape.group, in.n - first);
    withPart(shape, in, row, first, [&](auto values, auto put) { roundBy(shape, scaleOfRun(shape, count, values), count, values, put); });
  }
}

/** of(row, first, count) for the parts of rows that tile number `tile` covers. */
template <class Of>
inline void eachPart(const RoundingShape &shape, const Inputs &in, Index tile, Of of) {
  if (shape.rows == 0) {
    const Index end = smallerOf((tile + 1) * shape.group, in.rows * in.n);
    for (Index at = tile * shape.group, count; at < end; at += count) {
      count = smallerOf(in.n - at % in.n, end - at);
      of(at / in.n, at % in.n, count);
    }
    return;
  }
  const Index across = quotientUp(in.n, shape.group);
  const Index first = tile % across * shape.group, top = tile / across * shape.rows;
  for (Index row = top; row < smallerOf(top + shape.rows, in.rows); row++) of(row, first, smallerOf(shape.group, in.n - first));
}

/** Of a tile on several rows: damaged ones count as zeros. */
inline void roundTile(const RoundingShape &shape, const Inputs &in, Index tile) {
  Extent extent;
  eachPart(shape, in, tile, [&](Index row, Index first, Index count) {
    withPart(shape, in, row, first, [&](auto values, auto) {
      const auto zeros = [](Index, Index) { return Floats{}; };
      extent = joined(extent, in.damaged(row) ? extentOf(shape.kind, count, zeros) : extentOf(shape.kind, count, values));
    });
  });
  const RunScale run = fitted(shape, extent);
  eachPart(shape, in, tile, [&](Index row, Index first, Index count) {
    if (in.damaged(row)) return putNaN(in, row, first, count);
    withPart(shape, in, row, first, [&](auto values, auto put) { roundBy(shape, run, count, values, put); });
  });
}

void roundActivations(Pool &pool, const float *x, float *out, Index rows, Index n, Index stride, const RoundingShape &shape) {
  std::vector<float> inliers(shape.outlierThreshold > 0 ? n : 0);
  const Inputs in{x, out, rows, n, stride, inliers.empty() ? nullptr : inliers.data()};
  if (in.inliers) markInliers(pool, shape, in, inliers.data());
  if (shape.rows == 1) return byRows(pool, rows, n, [&](Index row) { roundRow(shape, in, row); });
  const Index tiles = shape.rows == 0 ? quotientUp(rows * n, shape.group) : quotientUp(rows, shape.rows) * quotientUp(n, shape.group);
  parallel(pool, tiles, 0, [&](Index tile, char *) { roundTile(shape, in, tile); });
}

}  // namespace
