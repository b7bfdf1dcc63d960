// RMSNorm (Zhang and Sennrich 2019) and LayerNorm (Ba et al. 2016) over rows of n values.
#pragma once

#include <cmath>

#include "rows.h"

namespace {

void rmsNorm(Pool &pool, const float *x, const float *gain, float *out, Index rows, Index n, double epsilon, float gainOffset) {
  byRows(pool, rows, n, [&](Index row) {
    const float *from = x + row * n;
    float *to = out + row * n;
    const double squares = total(n, [&](Index i, Index count) {
      const Floats value = loadUpTo(from + i, count);
      return value * value;
    });
    const float inverse = float(1 / std::sqrt(squares / n + epsilon));
    byVectors(n, [&](Index i, Index count) {
      storeUpTo(to + i, loadUpTo(from + i, count) * inverse * (loadUpTo(gain + i, count) + gainOffset), count);
    });
  });
}

void layerNorm(Pool &pool, const float *x, const float *gain, const float *bias, float *out, Index rows, Index n, double epsilon) {
  byRows(pool, rows, n, [&](Index row) {
    const float *from = x + row * n;
    float *to = out + row * n;
    const float mean = float(total(n, [&](Index i, Index count) { return loadUpTo(from + i, count); }) / n);
    const double squares = total(n, [&](Index i, Index count) {
      const Floats value = firstLanes(loadUpTo(from + i, count) - mean, count);
      return value * value;
    });
    const float inverse = float(1 / std::sqrt(squares / n + epsilon));
    byVectors(n, [&](Index i, Index count) {
      const Floats value = (loadUpTo(from + i, count) - mean) * inverse;
      storeUpTo(to + i, value * loadUpTo(gain + i, count) + loadUpTo(bias + i, count), count);
    });
  });
}

}  // namespace
