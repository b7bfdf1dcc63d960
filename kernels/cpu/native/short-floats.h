// Tables of bf16, for weights that it holds exactly.
#pragma once

#include "rows.h"

namespace {

/** Writes x as bf16; false where some value needs more bits. */
bool shorten(Pool &pool, const float *x, uint16_t *out, Index count) {
  int lost = 0;
  byStretches(pool, count, [&](Index first, Index length) {
    uint32_t rest = 0;
    for (Index i = first; i < first + length; i++) {
      uint32_t word;
      memcpy(&word, x + i, 4);
      out[i] = uint16_t(word >> 16);
      rest |= word & 0xffff;
    }
    if (rest != 0) __atomic_store_n(&lost, 1, __ATOMIC_RELAXED);
  });
  return lost == 0;
}

/** Rows `indices` of a bf16 table [·, n] → out [rows, n]. */
void widenRows(Pool &pool, const uint16_t *table, const uint32_t *indices, float *out, Index rows, Index n) {
  byRows(pool, rows, n, [&](Index row) {
    const uint16_t *from = table + Index(indices[row]) * n;
    byVectors(n, [&](Index i, Index count) { storeUpTo(out + row * n + i, loadUpTo(from + i, count), count); });
  });
}

}  // namespace
