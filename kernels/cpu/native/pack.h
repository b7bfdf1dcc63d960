// Operands of a product in the order in which the micro-kernel reads them: panels [k][width], zeros past the last lane.
#pragma once

#include "transpose.h"

namespace {

template <class T>
constexpr int tileColumns = tileVectors * lanesOf<T>;

/** A matrix by its strides: element (i, j) is at[i·row + j·column]. */
template <class T>
struct View {
  const T *at;
  Index row, column;
  View from(Index i, Index j) const { return {at + i * row + j * column, row, column}; }
  View transposed() const { return {at, column, row}; }
};

/** panel[p·width + lane] = lines(lane, p) for lane < count. */
template <int width, class T>
inline void packPanel(View<T> lines, Index count, Index k, T *panel) {
  if (lines.row == 1 && count == width) {
    for (Index p = 0; p < k; p++) __builtin_memcpy(panel + p * width, lines.at + p * lines.column, width * sizeof(T));
    return;
  }
  constexpr int side = squareSide<T>;
  const Index whole = lines.column == 1 && count >= side ? count : 0, wholeK = k / side * side;
  // A stretch of each line at a time, so that the stretch of the panel stays in the first-level cache.
  constexpr Index stretch = 64;
  for (Index first = 0; first < k; first += stretch) {
    const Index last = smallerOf(first + stretch, k), lastWhole = smallerOf(last, wholeK);
    for (Index square = 0; square < whole; square += side) {
      // The last square may cover lanes of the one before it.
      const Index lane = square + side <= whole ? square : whole - side;
      for (Index p = first; p < lastWhole; p += side)
        transposeSquare(lines.at + lane * lines.row + p, lines.row, panel + p * width + lane, width);
    }
    for (Index lane = 0; lane < width; lane++) {
      const T *line = lines.at + lane * lines.row;
      const Index from = lane < whole ? largerOf(first, lastWhole) : first;
      if (lane >= count)
        for (Index p = from; p < last; p++) panel[p * width + lane] = 0;
      else
        for (Index p = from; p < last; p++) panel[p * width + lane] = line[p * lines.column];
    }
  }
}

/** The same for lines of bf16 with neighbours side by side. */
template <int width>
inline void packPanel(View<uint16_t> lines, Index count, Index k, float *panel) {
  constexpr Index stretch = 64;
  float wide[width * stretch];
  for (Index p = 0; p < k; p += stretch) {
    const Index length = smallerOf(stretch, k - p);
    for (Index lane = 0; lane < count; lane++)
      byVectors(length, [&](Index i, Index part) { storeUpTo(wide + lane * stretch + i, loadUpTo(lines.at + lane * lines.row + p + i, part), part); });
    packPanel<width>(View<float>{wide, stretch, 1}, count, length, panel + p * width);
  }
}

}  // namespace
