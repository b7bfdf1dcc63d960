#pragma once

#include "rows.h"

namespace {

/** Bytes per task. */
constexpr Index copyBytes = 262144;

void copyRows(Pool &pool, const char *from, Index fromStride, const uint32_t *indices, char *to, Index toStride, Index rows, Index bytes) {
  const Index share = largerOf(1, copyBytes / largerOf(1, bytes));
  parallel(pool, quotientUp(rows, share), 0, [&](Index task, char *) {
    for (Index row = task * share; row < smallerOf((task + 1) * share, rows); row++)
      memcpy(to + row * toStride, from + (indices != nullptr ? Index(indices[row]) : row) * fromStride, bytes);
  });
}

void permuteColumns(Pool &pool, const float *x, const uint32_t *order, float *out, Index rows, Index n, bool back) {
  byRows(pool, rows, n, [&](Index row) {
    const float *from = x + row * n;
    float *to = out + row * n;
    for (Index i = 0; i < n; i++) (back ? to[order[i]] : to[i]) = back ? from[i] : from[order[i]];
  });
}

}  // namespace
