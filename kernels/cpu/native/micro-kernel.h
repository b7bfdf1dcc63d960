// The register tile: tileRows × tileVectors accumulators stay in registers over all of k (Goto and van de Geijn 2008, section 4).
#pragma once

#include "pack.h"

namespace {

enum class Into { replace, add, subtract };

/** c [tileRows, tileColumns] from left [k][tileRows] and right [k][tileColumns]; `bias`: a row to add, or null. */
template <class T>
__attribute__((noinline)) void tile(Index k, const T *left, const T *right, T *c, Index cRow, Into into, const T *bias = nullptr) {
  constexpr int width = lanesOf<T>;
  Vector<T> sums[tileRows][tileVectors] = {};
  // Rows of c often lie a power of two apart and share cache sets: they are fetched while the products run.
  for (int i = 0; i < tileRows; i++) __builtin_prefetch(c + i * cRow, 1);
  for (Index p = 0; p < k; p++, left += tileRows, right += tileColumns<T>) {
    Vector<T> row[tileVectors];
#pragma GCC unroll 4
    for (int j = 0; j < tileVectors; j++) row[j] = load(right + j * width);
#pragma GCC unroll 16
    for (int i = 0; i < tileRows; i++) {
      const Vector<T> value = all(left[i]);
#pragma GCC unroll 4
      for (int j = 0; j < tileVectors; j++) sums[i][j] += value * row[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < tileRows; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < tileVectors; j++) {
      T *to = c + i * cRow + j * width;
      if (into == Into::add) sums[i][j] = load(to) + sums[i][j];
      else if (into == Into::subtract) sums[i][j] = load(to) - sums[i][j];
      else if (bias != nullptr) sums[i][j] = load(bias + j * width) + sums[i][j];
      store(to, sums[i][j]);
    }
  }
}

/** The same for the part of a tile that is inside of c: `rows` × `columns`. */
template <class T>
inline void tilePart(Index k, const T *left, const T *right, T *c, Index cRow, Into into, const T *bias, Index rows, Index columns) {
  if (rows == tileRows && columns == tileColumns<T>) return tile(k, left, right, c, cRow, into, bias);
  T whole[tileRows * tileColumns<T>];
  tile<T>(k, left, right, whole, tileColumns<T>, Into::replace);
  for (Index i = 0; i < rows; i++) {
    for (Index j = 0; j < columns; j++) {
      const T value = whole[i * tileColumns<T> + j];
      T &to = c[i * cRow + j];
      if (into == Into::add) to += value;
      else if (into == Into::subtract) to -= value;
      else to = bias != nullptr ? bias[j] + value : value;
    }
  }
}

}  // namespace
