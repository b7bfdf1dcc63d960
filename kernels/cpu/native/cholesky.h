// The inverse's Cholesky factor, blocked and left-looking (Golub and Van Loan, section 4.2). All the work is in products of packed panels: the lower
// factor is kept as left panels, and each diagonal block is inverted, so that a triangular solve is a product too.
#pragma once

#include <cmath>

#include "multiply.h"

namespace {

constexpr int columnsD = tileColumns<double>;
/** Rows and columns of a block: whole tiles both ways. */
constexpr Index blockSize = tileRows == 14 ? 112 : 96;
static_assert(blockSize % tileRows == 0 && blockSize % columnsD == 0, "a block is made of whole tiles");
constexpr Index blockDown = blockSize / tileRows, blockAcross = blockSize / columnsD;
/** Left panels of one task below the diagonal. */
constexpr Index groupPanels = 8;
/** Right panels of one strip of the inverse. */
constexpr Index stripPanels = blockAcross % 4 == 0 ? 4 : blockAcross;

/** Lower L with reversed h = L·Lᵀ, without its diagonal blocks, and −(each diagonal block)⁻¹. */
struct Factor {
  Index n;
  /** [row panel][n][tileRows] */
  double *panels;
  /** Per block, as left panels: [block][row panel][blockSize][tileRows] */
  double *inverses;

  double *panel(Index index) const { return panels + index * n * tileRows; }
  double *inverse(Index block) const { return inverses + block * blockSize * blockSize; }
  double &at(Index i, Index j) const { return panel(i / tileRows)[j * tileRows + i % tileRows]; }
};

/** In place: block [size, size] symmetric (upper half read) → Lᵀ in the upper half; inverse ← L⁻¹, zeros above. Rows blockSize apart. */
bool factorDiagonal(double *block, double *inverse, Index size) {
  for (Index j = 0; j < size; j++) {
    double *row = block + j * blockSize;
    const double pivot = row[j];
    if (!(pivot > 0 && pivot < __builtin_inf())) return false;
    const double root = std::sqrt(pivot), reciprocal = 1 / root;
    row[j] = root;
    for (Index c = j + 1; c < size; c++) row[c] *= reciprocal;
    for (Index i = j + 1; i < size; i++) {
      double *below = block + i * blockSize;
      const double factor = row[i];
#pragma GCC ivdep
      for (Index c = i; c < size; c++) below[c] -= factor * row[c];
    }
  }
  for (Index i = 0; i < size; i++) {
    double *row = inverse + i * blockSize;
    for (Index c = 0; c < size; c++) row[c] = c == i ? 1 : 0;
    for (Index p = 0; p < i; p++) {
      const double factor = block[p * blockSize + i];
      const double *above = inverse + p * blockSize;
#pragma GCC ivdep
      for (Index c = 0; c <= p; c++) row[c] -= factor * above[c];
    }
    const double reciprocal = 1 / block[i * blockSize + i];
    for (Index c = 0; c <= i; c++) row[c] *= reciprocal;
  }
  return true;
}

/** `h` as the factor sees it: rows and columns in reverse, which turns the wanted upper factor into a lower one. */
bool factorise(Pool &pool, View<double> h, Factor &factor, double *right, double *block) {
  const Index n = factor.n;
  double *inverse = block + blockSize * blockSize;
  double *solver = inverse + blockSize * blockSize;

  for (Index j = 0; j < n; j += blockSize) {
    const Index size = smallerOf(blockSize, n - j);
    const Index across = quotientUp(size, columnsD), down = quotientUp(size, tileRows);

    // Rows j … of L over the columns before j, as right panels.
    parallel(pool, across, 0, [&](Index panel, char *) {
      double *to = right + panel * j * columnsD;
      const Index width = smallerOf(columnsD, size - panel * columnsD);
      for (Index lane = 0; lane < columnsD; lane++)
        for (Index p = 0; p < j; p++) to[p * columnsD + lane] = lane < width ? factor.at(j + panel * columnsD + lane, p) : 0;
    });

    /** c (a tile, rows cRow apart) = h − L·Lᵀ at row panel `row`, right panel `column` of this block column. */
    const auto subtract = [&](Index firstRow, Index lastRow, Index column, double *c, Index cRow) {
      const Index width = smallerOf(columnsD, size - column * columnsD);
      for (Index row = firstRow; row < lastRow; row++) {
        double *to = c + (row - firstRow) * tileRows * cRow;
        const View<double> from = h.from(row * tileRows, j + column * columnsD);
        const Index height = smallerOf(tileRows, n - row * tileRows);
        for (Index i = 0; i < tileRows; i++)
          for (Index l = 0; l < columnsD; l++) to[i * cRow + l] = i < height && l < width ? from.at[i * from.row + l * from.column] : 0;
      }
      for (Index p = 0; p < j; p += depth<double>)
        for (Index row = firstRow; row < lastRow; row++)
          tile(smallerOf(depth<double>, j - p), factor.panel(row) + p * tileRows, right + (column * j + p) * columnsD,
               c + (row - firstRow) * tileRows * cRow, cRow, Into::subtract);
    };

    const Index firstPanel = j / tileRows;
    parallel(pool, across, 0, [&](Index column, char *) {
      subtract(firstPanel, firstPanel + down, column, block + column * columnsD, blockSize);
    });
    if (!factorDiagonal(block, inverse, size)) return false;
    for (Index i = size; i < blockSize; i++)
      for (Index c = 0; c < blockSize; c++) inverse[i * blockSize + c] = inverse[c * blockSize + i] = 0;
    double *negative = factor.inverse(j / blockSize);
    for (Index panel = 0; panel < blockDown; panel++) {
      double *to = negative + panel * blockSize * tileRows;
      packPanel<tileRows>(View<double>{inverse + panel * tileRows * blockSize, blockSize, 1}, tileRows, blockSize, to);
      for (Index i = 0; i < blockSize * tileRows; i++) to[i] = -to[i];
    }
    for (Index panel = 0; panel < blockAcross; panel++)
      packPanel<columnsD>(View<double>{inverse + panel * columnsD * blockSize, blockSize, 1}, columnsD, blockSize,
                          solver + panel * blockSize * columnsD);

    // Rows below: L = (h − L·Lᵀ)·(diagonal block)⁻ᵀ.
    const Index firstBelow = firstPanel + blockDown, lastBelow = quotientUp(n, tileRows);
    if (firstBelow >= lastBelow) break;
    constexpr Index groupRows = groupPanels * tileRows;
    const size_t scratchBytes = (groupRows + 2 * tileRows) * blockSize * sizeof(double);
    parallel(pool, quotientUp(lastBelow - firstBelow, groupPanels), scratchBytes, [&](Index task, char *scratch) {
      double *sums = reinterpret_cast<double *>(scratch), *left = sums + groupRows * blockSize, *solved = left + tileRows * blockSize;
      const Index first = firstBelow + task * groupPanels, last = smallerOf(first + groupPanels, lastBelow);
      for (Index column = 0; column < blockAcross; column++) subtract(first, last, column, sums + column * columnsD, blockSize);
      for (Index row = first; row < last; row++) {
        packPanel<tileRows>(View<double>{sums + (row - first) * tileRows * blockSize, blockSize, 1}, tileRows, blockSize, left);
        for (Index column = 0; column < blockAcross; column++)
          tile(blockSize, left, solver + column * blockSize * columnsD, solved + column * columnsD, blockSize, Into::replace);
        packPanel<tileRows>(View<double>{solved, blockSize, 1}, tileRows, blockSize, factor.panel(row) + j * tileRows);
      }
    });
  }
  return true;
}

/** The strip of L⁻¹ whose first column is `first`, written to `upper` in reverse. */
void invertStrip(const Factor &factor, Index first, double *upper, double *scratch) {
  const Index n = factor.n, padded = quotientUp(n, blockSize) * blockSize;
  double *strip = scratch, *sums = strip + stripPanels * padded * columnsD;
  const Index diagonal = first / blockSize, top = diagonal * blockSize;
  const auto row = [&](Index panel, Index i) { return strip + (panel * padded + i) * columnsD; };

  for (Index panel = 0; panel < stripPanels; panel++)
    for (Index i = 0; i < blockSize; i++)
      for (Index l = 0; l < columnsD; l++) {
        const Index column = first - top + panel * columnsD + l;
        row(panel, top + i)[l] = -factor.inverse(diagonal)[(i / tileRows * blockSize + column) * tileRows + i % tileRows];
      }
  for (Index i = top + blockSize; i < n; i += blockSize) {
    const Index down = quotientUp(smallerOf(blockSize, n - i), tileRows);
    for (Index panel = 0; panel < stripPanels; panel++) {
      for (Index p = top; p < i; p += depth<double>)
        for (Index d = 0; d < down; d++)
          tile(smallerOf(depth<double>, i - p), factor.panel(i / tileRows + d) + p * tileRows, row(panel, p),
               sums + d * tileRows * columnsD, columnsD, p == top ? Into::replace : Into::add);
      for (Index r = down * tileRows; r < blockSize; r++)
        for (Index l = 0; l < columnsD; l++) sums[r * columnsD + l] = 0;
      for (Index d = 0; d < down; d++)
        tile(blockSize, factor.inverse(i / blockSize) + d * blockSize * tileRows, sums, row(panel, i + d * tileRows), columnsD, Into::replace);
    }
  }
  for (Index panel = 0; panel < stripPanels; panel++)
    for (Index i = top; i < n; i++)
      for (Index l = 0; l < columnsD; l++) {
        const Index column = first + panel * columnsD + l;
        if (column <= i) upper[(n - 1 - i) * n + (n - 1 - column)] = row(panel, i)[l];
      }
}

/** h⁻¹ = Uᵀ·U is h = R·Rᵀ with R = U⁻¹ upper triangular: the Cholesky factor of h read backwards. `upper` comes in zeroed. */
bool inverseCholesky(Pool &pool, const double *h, double *upper, Index n) {
  const Index panels = quotientUp(n, tileRows), blocks = quotientUp(n, blockSize);
  const Index square = blockSize * blockSize;
  const size_t values = panels * n * tileRows + blocks * square + blockSize * n + 3 * square;
  double *memory = reinterpret_cast<double *>(pool.workspace(values * sizeof(double)));
  Factor factor{n, memory, memory + panels * n * tileRows};
  double *right = factor.inverses + blocks * square, *block = right + blockSize * n;
  if (!factorise(pool, {h + n * n - 1, -n, -1}, factor, right, block)) return false;
  const Index strips = quotientUp(n, stripPanels * columnsD);
  const size_t scratchBytes = (stripPanels * blocks * blockSize * columnsD + blockSize * columnsD) * sizeof(double);
  parallel(pool, strips, scratchBytes, [&](Index strip, char *scratch) {
    invertStrip(factor, strip * stripPanels * columnsD, upper, reinterpret_cast<double *>(scratch));
  });
  return true;
}

}  // namespace
