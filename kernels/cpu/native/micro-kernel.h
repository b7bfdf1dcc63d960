// The register tile: tileRows × tileVectors accumulators stay in registers over all of k (Goto and van de Geijn 2008, section 4).
#pragma once

#include "pack.h"

namespace {

enum class Into { replace, add, subtract };

/** Where a tile lies: its first element, and how far its rows are apart. */
template <class T>
struct TileAt {
  T *at;
  Index row;
};

/** `to` [tileRows, tileColumns] from left [k][tileRows] and right [k][tileColumns] and, but for Into::replace, `from`; `bias`: a row to add, or null. */
template <class T>
__attribute__((noinline)) void tile(Index k, const T *left, const T *right, TileAt<T> from, TileAt<T> to, Into into, const T *bias) {
  constexpr int width = lanesOf<T>;
  Vector<T> sums[tileRows][tileVectors] = {};
  // Rows of a matrix often lie a power of two apart and share cache sets: they are fetched while the products run.
  for (int i = 0; i < tileRows; i++) __builtin_prefetch(to.at + i * to.row, 1);
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
      const T *before = from.at + i * from.row + j * width;
      if (into == Into::add) sums[i][j] = load(before) + sums[i][j];
      else if (into == Into::subtract) sums[i][j] = load(before) - sums[i][j];
      else if (bias != nullptr) sums[i][j] = load(bias + j * width) + sums[i][j];
      store(to.at + i * to.row + j * width, sums[i][j]);
    }
  }
}

/** The same in place. */
template <class T>
inline void tile(Index k, const T *left, const T *right, T *c, Index cRow, Into into) {
  tile<T>(k, left, right, {c, cRow}, {c, cRow}, into, nullptr);
}

/** The same where `rows` × `columns` of the tile are inside of the matrix. */
template <class T>
inline void tilePart(Index k, const T *left, const T *right, TileAt<T> from, TileAt<T> to, Into into, const T *bias, Index rows, Index columns) {
  if (rows == tileRows && columns == tileColumns<T>) return tile(k, left, right, from, to, into, bias);
  T whole[tileRows * tileColumns<T>];
  tile<T>(k, left, right, whole, tileColumns<T>, Into::replace);
  for (Index i = 0; i < rows; i++) {
    for (Index j = 0; j < columns; j++) {
      T value = whole[i * tileColumns<T> + j];
      if (into == Into::add) value = from.at[i * from.row + j] + value;
      else if (into == Into::subtract) value = from.at[i * from.row + j] - value;
      else if (bias != nullptr) value = bias[j] + value;
      to.at[i * to.row + j] = value;
    }
  }
}

}  // namespace
