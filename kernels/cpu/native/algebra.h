// The solvers' products in double.
#pragma once

#include "cholesky.h"

namespace {

using fewbit::UpdateShape;

void product(Pool &pool, const double *a, const double *b, double *c, Index rows, Index k, Index n) {
  multiply<double>(pool, {a, k, 1}, {b, n, 1}, c, n, rows, k, n, Into::replace);
}

void subtractProduct(Pool &pool, double *c, const double *a, const double *b, UpdateShape shape) {
  const auto [rows, k, n, bRow, cStart] = shape;
  multiply<double>(pool, {a, k, 1}, {b + bRow * n + cStart, n, 1}, c + cStart, n, rows, k, n - cStart, Into::subtract);
}

/** x = b·h⁻¹ = (b·Uᵀ)·U. */
bool solve(Pool &pool, const double *h, Index n, const double *b, double *out, Index rows) {
  fewbit::Scratch memory;
  double *upper = reinterpret_cast<double *>(memory.reserve((n + rows) * n * sizeof(double)));
  double *half = upper + n * n;
  memset(upper, 0, n * n * sizeof(double));
  if (!inverseCholesky(pool, h, upper, n)) return false;
  multiply<double>(pool, {b, n, 1}, {upper, 1, n}, half, n, rows, n, n, Into::replace, nullptr, Zeros::above);
  multiply<double>(pool, {half, n, 1}, {upper, n, 1}, out, n, rows, n, n, Into::replace, nullptr, Zeros::below);
  return true;
}

}  // namespace
