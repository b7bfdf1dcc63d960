// x·wᵀ + bias: many rows by packed tiles; a few rows by dot products over the weights as they lie, at the speed of memory.
#pragma once

#include "multiply.h"
#include "rows.h"

namespace {

constexpr Index fewRows = 8;
/** Rows of w that are multiplied with 1, 2, 3 or 4 of x together: all counts divide it. */
constexpr Index rowsTogether = 12;
/** Floats that a row is read ahead of its use. */
constexpr Index ahead = 1024;

/** Dot products of rows of x with rows of w → sums[weight][row]: all in registers. */
template <int rows, int weights, class Weight>
inline void dots(const float *x, const Weight *w, Index k, float (*sums)[4]) {
  constexpr int chains = rows * weights < 4 ? 4 : 1;
  Floats parts[weights][rows][chains] = {};
  Index p = 0;
  for (; p + chains * lanes <= k; p += chains * lanes) {
#pragma GCC unroll 4
    for (int chain = 0; chain < chains; chain++) {
      const Index at = p + chain * lanes;
#pragma GCC unroll 6
      for (int j = 0; j < weights; j++) __builtin_prefetch(w + j * k + at + ahead);
      Floats values[rows];
#pragma GCC unroll 4
      for (int i = 0; i < rows; i++) values[i] = load(x + i * k + at);
#pragma GCC unroll 6
      for (int j = 0; j < weights; j++) {
        const Floats weight = load(w + j * k + at);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) parts[j][i][chain] += values[i] * weight;
      }
    }
  }
  for (; p < k; p += lanes) {
    const Index count = smallerOf(lanes, k - p);
    for (int j = 0; j < weights; j++)
      for (int i = 0; i < rows; i++) parts[j][i][0] += loadUpTo(x + i * k + p, count) * loadUpTo(w + j * k + p, count);
  }
  for (int j = 0; j < weights; j++) {
    for (int i = 0; i < rows; i++) {
      Floats total = parts[j][i][0];
      for (int chain = 1; chain < chains; chain++) total += parts[j][i][chain];
      sums[j][i] = sum(total);
    }
  }
}

/** Columns [first, last) of out for `rows` rows of x. */
template <int rows, class Weight>
void fewColumns(const float *x, const Weight *w, const float *bias, float *out, Index k, Index n, Index first, Index last) {
  constexpr int weights = rows == 1 ? 1 : rowsTogether / rows;
  float sums[weights][4];
  for (Index j = first; j < last; j += weights) {
    const Index count = smallerOf(weights, last - j);
    if (count == weights) dots<rows, weights>(x, w + j * k, k, sums);
    else
      for (Index c = 0; c < count; c++) dots<rows, 1>(x, w + (j + c) * k, k, sums + c);
    for (Index c = 0; c < count; c++)
      for (Index i = 0; i < rows; i++) out[i * n + j + c] = bias != nullptr ? bias[j + c] + sums[c][i] : sums[c][i];
  }
}

template <class Weight>
void matmulFewRows(Pool &pool, const float *x, const Weight *w, const float *bias, float *out, Index m, Index k, Index n) {
  const Index rows = quotientUp(m, quotientUp(m, 4));
  byRuns(pool, quotientUp(n, rowsTogether), [&](Index begin, Index end) {
    const Index first = begin * rowsTogether, last = smallerOf(end * rowsTogether, n);
    for (Index i = 0; i < m; i += rows) {
      const float *from = x + i * k;
      float *to = out + i * n;
      switch (smallerOf(rows, m - i)) {
        case 1: fewColumns<1>(from, w, bias, to, k, n, first, last); break;
        case 2: fewColumns<2>(from, w, bias, to, k, n, first, last); break;
        case 3: fewColumns<3>(from, w, bias, to, k, n, first, last); break;
        default: fewColumns<4>(from, w, bias, to, k, n, first, last);
      }
    }
  });
}

template <class Weight>
void matmulOf(Pool &pool, const float *x, const Weight *w, const float *bias, float *out, Index m, Index k, Index n) {
  if (m <= fewRows) return matmulFewRows(pool, x, w, bias, out, m, k, n);
  multiply<float>(pool, {x, k, 1}, View<Weight>{w, 1, k}, out, n, m, k, n, Into::replace, bias);
}

void matmul(Pool &pool, const float *x, const float *w, const float *bias, float *out, Index m, Index k, Index n) {
  matmulOf(pool, x, w, bias, out, m, k, n);
}

void matmulShort(Pool &pool, const float *x, const uint16_t *w, const float *bias, float *out, Index m, Index k, Index n) {
  matmulOf(pool, x, w, bias, out, m, k, n);
}

}  // namespace
