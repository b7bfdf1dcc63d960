// xᵀ·y: products and sums over up to `gramRows` rows in float32, then added in double.
#pragma once

#include "multiply.h"

namespace {

constexpr Index gramRows = 512;
/** Output block of one task, in tiles down and across. */
constexpr Index gramDown = 16, gramAcross = 6;

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
  constexpr Index blockRows = gramDown * tileRows, blockColumns = gramAcross * columns;
  const bool same = y == nullptr;
  const Index down = quotientUp(a, tileRows), across = quotientUp(b, columns);
  const Index most = smallerOf(rows, gramRows);
  float *left = reinterpret_cast<float *>(pool.workspace((down * tileRows + across * columns) * most * sizeof(float)));
  float *right = left + down * tileRows * most;
  const Index tasksAcross = quotientUp(across, gramAcross);

  for (Index first = 0; first < rows; first += gramRows) {
    const Index length = smallerOf(gramRows, rows - first);
    packAcross<tileRows>(pool, x + first * a, a, length, left);
    packAcross<columns>(pool, (same ? x : y) + first * b, b, length, right);
    parallel(pool, quotientUp(down, gramDown) * tasksAcross, blockRows * blockColumns * sizeof(float), [&](Index task, char *scratch) {
      float *sums = reinterpret_cast<float *>(scratch);
      const Index firstDown = task / tasksAcross * gramDown, firstAcross = task % tasksAcross * gramAcross;
      const Index lastDown = smallerOf(firstDown + gramDown, down), lastAcross = smallerOf(firstAcross + gramAcross, across);
      const Index top = firstDown * tileRows, bottom = smallerOf(lastDown * tileRows, a);
      const Index start = firstAcross * columns, end = smallerOf(lastAcross * columns, b);
      if (same && end <= top) return;
      for (Index p = 0; p < length; p += depth<float>)
        for (Index panel = firstAcross; panel < lastAcross; panel++) {
          // Where y is x, tiles below the diagonal are left out.
          const Index last = same ? smallerOf(lastDown, quotientUp((panel + 1) * columns, tileRows)) : lastDown;
          for (Index d = firstDown; d < last; d++)
            tile(smallerOf(depth<float>, length - p), left + (d * length + p) * tileRows, right + (panel * length + p) * columns,
                 sums + (d - firstDown) * tileRows * blockColumns + (panel - firstAcross) * columns, blockColumns, p == 0 ? Into::replace : Into::add);
        }
      for (Index i = top; i < bottom; i++) {
        const Index from = same ? largerOf(start, i) : start;
        const float *row = sums + (i - top) * blockColumns + from - start;
        double *to = into + i * b + from;
        for (Index c = 0; c < end - from; c++) to[c] += row[c];
      }
    });
  }
}

}  // namespace
