// c = a·b, or added to c, or taken from it, for any strides: the left side is packed once, the right side by each task.
#pragma once

#include "micro-kernel.h"

namespace {

/** Most of k that one right panel holds: it stays in the first-level cache. Codes are decoded from a whole number of bytes on (levels.h). */
template <class T>
constexpr Index depth = 16384 / (tileColumns<T> * sizeof(T)) / 16 * 16;
/** Columns of c per task, and tasks per thread at least. */
constexpr Index taskColumns = 32, tasksPerThread = 2;
/** Most rows of c per task: a left block of `depth` columns fits the second-level cache. Each block packs the right side once more; 512 tokens are one. */
constexpr Index taskRows = 518;

/** Columns [j, j + width) of b, rows [p, p + length), as one panel. */
template <int columns, class T, class Right>
inline void packColumns(const View<Right> &b, Index p, Index j, Index width, Index length, T *panel) {
  packPanel<columns>(b.from(p, j).transposed(), width, length, panel);
}
template <int columns, class T, class Right>
inline void packColumns(const Right &b, Index p, Index j, Index width, Index length, T *panel) {
  b.template packColumns<columns>(p, j, width, length, panel);
}

/** Which elements (p, j) of a right side are zero, and left out. */
enum class Zeros { none, above, below };

/**
 * a (m × k), b (k × n; a view of T, of bf16 where T is float, or what packs its own columns), c [m, n] with rows `cRow` apart; `bias` [n] or null
 * joins where c is replaced.
 */
template <class T, class Right = View<T>>
void multiply(Pool &pool, View<T> a, Right b, T *c, Index cRow, Index m, Index k, Index n, Into into, const T *bias = nullptr,
              Zeros zeros = Zeros::none) {
  constexpr int columns = tileColumns<T>;
  const Index panels = quotientUp(m, tileRows);
  const Index padded = panels * tileRows;
  // [k / depth][panel][depth][tileRows]: what a task reads for one right panel is one stretch.
  T *left = reinterpret_cast<T *>(pool.workspace(padded * k * sizeof(T)));
  parallel(pool, panels, 0, [&](Index panel, char *) {
    const Index i = panel * tileRows;
    for (Index p = 0; p < k; p += depth<T>) {
      const Index length = smallerOf(depth<T>, k - p);
      packPanel<tileRows>(a.from(i, p), smallerOf(tileRows, m - i), length, left + p * padded + i * length);
    }
  });

  const Index perTask = largerOf(1, taskColumns / columns);
  const Index across = quotientUp(n, perTask * columns);
  const Index blockPanels = quotientUp(panels, largerOf(quotientUp(m, taskRows), quotientUp(tasksPerThread * pool.threads(), across)));
  const Index rowBlocks = quotientUp(panels, blockPanels);
  parallel(pool, rowBlocks * across, (depth<T> + blockPanels * tileRows) * columns * sizeof(T), [&](Index task, char *scratch) {
    T *right = reinterpret_cast<T *>(scratch);
    // Where sums wait from one stretch of k to the next: rows of c, often a power of two apart, would share cache sets.
    T *sums = right + depth<T> * columns;
    const Index firstPanel = task / across * blockPanels;
    const Index lastPanel = smallerOf(firstPanel + blockPanels, panels);
    const Index firstColumn = task % across * perTask * columns;
    const Index lastColumn = smallerOf(firstColumn + perTask * columns, n);
    for (Index j = firstColumn; j < lastColumn; j += columns) {
      const Index width = smallerOf(columns, n - j);
      const Index start = zeros == Zeros::above ? smallerOf(j, k - 1) : 0, end = zeros == Zeros::below ? smallerOf(j + width, k) : k;
      for (Index p = start / depth<T> * depth<T>; p < end; p += depth<T>) {
        const Index length = smallerOf(depth<T>, k - p), skipped = largerOf(start - p, 0), used = smallerOf(length, end - p) - skipped;
        packColumns<columns>(b, p + skipped, j, width, used, right);
        const bool first = p <= start, last = p + length >= end;
        const Into how = into == Into::replace && !first ? Into::add : into;
        for (Index panel = firstPanel; panel < lastPanel; panel++) {
          const Index i = panel * tileRows;
          const T *from = left + p * padded + i * length + skipped * tileRows;
          const TileAt<T> place{c + i * cRow + j, cRow}, waiting{sums + (panel - firstPanel) * tileRows * columns, columns};
          tilePart(used, from, right, first ? place : waiting, last ? place : waiting, how, bias == nullptr ? nullptr : bias + j,
                   smallerOf(tileRows, m - i), width);
        }
      }
    }
  });
}

}  // namespace
