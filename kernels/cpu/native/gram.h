// xᵀ·y: products and sums over up to `gramRows` rows in float32, then added in double. Where y is x only the upper triangle is computed, then mirrored.
#pragma once

#include "multiply.h"

namespace {

constexpr Index gramRows = 512;
/** Output block of one task, in tiles down and across. */
constexpr Index gramDown = 16, gramAcross = 6;

/** The lower triangle from the upper one, by squares of a cache line: their rows may all share one cache set. */
void mirror(Pool &pool, double *into, Index n) {
  constexpr Index side = 8;
  parallel(pool, quotientUp(n, side), 0, [&](Index task, char *) {
    const Index first = task * side, last = smallerOf(first + side, n);
    for (Index block = 0; block <= first; block += side)
      for (Index i = first; i < last; i++)
        for (Index j = block; j < smallerOf(block + side, i); j++) into[i * n + j] = into[j * n + i];
  });
}

/** Packs the columns of x [rows, n] as panels, several at a time: they share cache lines of x. */
template <int width>
void packAcross(Pool &pool, const float *x, Index n, Index rows, float *panels) {
  constexpr Index together = 96 / width;
  parallel(pool, quotientUp(n, width * together), 0, [&](Index task, char *) {
    const Index first = task * together * width, last = smallerOf(first + together * width, n);
    constexpr Index stretch = 16;
    for (Index r = 0; r < rows; r += stretch)
      for (Index i = first; i < last; i += width)
        packPanel<width>(View<float>{x + r * n + i, 1, n}, smallerOf(width, n - i), smallerOf(stretch, rows - r), panels + i * rows + r * width);
  });
}

void gram(Pool &pool, const float *x, const float *y, double *into, Index rows, Index a, Index b) {
  constexpr int columns = tileColumns<float>;
  const bool same = x == y && a == b;
  const Index down = quotientUp(a, tileRows), across = quotientUp(b, columns);
  const Index most = smallerOf(rows, gramRows);
  float *left = reinterpret_cast<float *>(pool.workspace((down * tileRows + across * columns) * most * sizeof(float)));
  float *right = left + down * tileRows * most;
  const Index tasksAcross = quotientUp(across, gramAcross);
  constexpr Index blockRows = gramDown * tileRows;

  for (Index first = 0; first < rows; first += gramRows) {
    const Index length = smallerOf(gramRows, rows - first);
    packAcross<tileRows>(pool, x + first * a, a, length, left);
    packAcross<columns>(pool, y + first * b, b, length, right);
    parallel(pool, quotientUp(down, gramDown) * tasksAcross, blockRows * gramAcross * columns * sizeof(float), [&](Index task, char *scratch) {
      float *sums = reinterpret_cast<float *>(scratch);
      const Index firstDown = task / tasksAcross * gramDown, firstAcross = task % tasksAcross * gramAcross;
      const Index lastDown = smallerOf(firstDown + gramDown, down), lastAcross = smallerOf(firstAcross + gramAcross, across);
      for (Index panel = firstAcross; panel < lastAcross; panel++) {
        const Index j = panel * columns, width = smallerOf(columns, b - j);
        const Index end = same ? smallerOf(lastDown, quotientUp(j + columns, tileRows)) : lastDown;
        for (Index p = 0; p < length; p += depth<float>)
          for (Index d = firstDown; d < end; d++)
            tile(smallerOf(depth<float>, length - p), left + (d * length + p) * tileRows, right + (panel * length + p) * columns,
                 sums + (d - firstDown) * tileRows * columns, columns, p == 0 ? Into::replace : Into::add);
        for (Index i = firstDown * tileRows; i < smallerOf(end * tileRows, a); i++) {
          const float *row = sums + (i - firstDown * tileRows) * columns;
          for (Index c = same ? largerOf(0, i - j) : 0; c < width; c++) into[i * b + j + c] += row[c];
        }
      }
    });
  }
  if (same) mirror(pool, into, a);
}

}  // namespace
