// What a weight has beside its codes: a few entries of its rows, whose products are added to those of the codes. Each value of the result has one
// owner, and its entries are added in their order: the same bits for any number of threads.
#pragma once

#include "pack.h"
#include "rows.h"

namespace {

using fewbit::SparseProduct;
using fewbit::SparseRows;

constexpr Index sparseTokens = 4;
/** Rows whose sums for one tile of tokens stay in the first-level cache. */
constexpr Index sparseRows = 64;

/** One row with one token: four sums side by side, since each waits for its last addition. */
inline float sparseDot(const SparseRows &of, Index row, const float *x) {
  float sums[4] = {};
  uint32_t i = of.starts[row];
  const uint32_t end = of.starts[row + 1];
  for (; i + 4 <= end; i += 4)
    for (int chain = 0; chain < 4; chain++) sums[chain] += of.values[i + chain] * x[of.columns[i + chain]];
  for (; i < end; i++) sums[0] += of.values[i] * x[of.columns[i]];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/** A few tokens: rows as they lie, all products in one job. */
void addSparseToFew(Pool &pool, const float *x, const SparseProduct *products, Index count, Index m, Index k) {
  Index all = 0;
  for (Index i = 0; i < count; i++) all += products[i].rows;
  byRuns(pool, all, [&](Index first, Index last) {
    const SparseProduct *product = products;
    for (; first >= product->rows; product++) first -= product->rows, last -= product->rows;
    for (Index row = first; row < last; row++) {
      if (row == product->rows) row = 0, last -= product++->rows;
      for (Index t = 0; t < m; t++) product->out[t * product->rows + row] += sparseDot(product->of, row, x + t * k);
    }
  });
}

/** Many tokens, `lanes` at a time: x is turned first, so that an entry meets a vector of tokens. */
void addSparseToMany(Pool &pool, const float *x, const SparseProduct *products, Index count, Index m, Index k) {
  const Index tiles = quotientUp(m, lanes);
  float *turned = reinterpret_cast<float *>(pool.workspace(tiles * lanes * k * sizeof(float)));
  parallel(pool, tiles, 0, [&](Index tile, char *) {
    packPanel<lanes>(View<float>{x + tile * lanes * k, k, 1}, smallerOf(lanes, m - tile * lanes), k, turned + tile * lanes * k);
  });
  for (const SparseProduct *product = products; product < products + count; product++) {
    const auto &[of, out, rows] = *product;
    const Index blocks = quotientUp(rows, sparseRows);
    parallel(pool, tiles * blocks, 0, [&, &of = of, out = out, rows = rows](Index task, char *) {
      const Index tile = task / blocks, first = task % blocks * sparseRows, last = smallerOf(first + sparseRows, rows);
      const float *tokens = turned + tile * lanes * k;
      float sums[sparseRows * lanes];
      for (Index row = first; row < last; row++) {
        Floats total = {};
        for (uint32_t i = of.starts[row]; i < of.starts[row + 1]; i++) total += load(tokens + of.columns[i] * lanes) * of.values[i];
        store(sums + (row - first) * lanes, total);
      }
      for (Index t = 0; t < smallerOf(lanes, m - tile * lanes); t++) {
        float *to = out + (tile * lanes + t) * rows;
        for (Index row = first; row < last; row++) to[row] += sums[(row - first) * lanes + t];
      }
    });
  }
}

void addSparse(Pool &pool, const float *x, const SparseProduct *products, Index count, Index m, Index k) {
  (m <= sparseTokens ? addSparseToFew : addSparseToMany)(pool, x, products, count, m, k);
}

void putEntries(Pool &pool, const SparseRows &of, const uint32_t *indices, Index count, Index n, float *out) {
  byRows(pool, count, n, [&](Index at) {
    const uint32_t row = indices[at];
    for (uint32_t i = of.starts[row]; i < of.starts[row + 1]; i++) out[at * n + of.columns[i]] = of.values[i];
  });
}

}  // namespace
