// The algebra of the solvers.
#pragma once

#include "check.h"

namespace fewbit {

inline void checkGram(Check &check) {
  const Index m = upTo(300), a = upTo(90), b = upTo(60);
  const auto x = normals(m * a), y = normals(m * b);
  check.same<double>("gram of two", a * b, 1e-6, [&](const Kernels &on, double *into) { on.gram(check.pool, x.data(), y.data(), into, m, a, b); }, 0.5);
  check.same<double>("gram", a * a, 1e-6, [&](const Kernels &on, double *into) {
    on.gram(check.pool, x.data(), nullptr, into, m, a, a);
    for (Index i = 0; i < a; i++) std::fill(into + i * a, into + i * a + i, 0);  // only the upper triangle is said
  });
}

inline void checkFactors(Check &check) {
  const Index n = upTo(150), rows = upTo(30);
  const auto x = normals<double>(n * n), b = normals<double>(rows * n);
  std::vector<double> h(n * n);
  for (Index i = 0; i < n; i++)
    for (Index j = 0; j < n; j++) {
      for (Index p = 0; p < n; p++) h[i * n + j] += x[p * n + i] * x[p * n + j];
      if (i == j) h[i * n + j] += 0.1 * n;
    }
  check.same<double>("inverseCholesky", n * n + 1, 1e-12, [&](const Kernels &on, double *upper) {
    upper[n * n] = on.inverseCholesky(check.pool, h.data(), upper, n);
  });
  check.same<double>("solve", rows * n + 1, 1e-12, [&](const Kernels &on, double *out) {
    out[rows * n] = on.solve(check.pool, h.data(), n, b.data(), out, rows);
  });
  h[generator() % n * (n + 1)] = -1;
  std::vector<double> upper(n * n);
  check.sameBits<uint8_t>("what is not positive definite", 1, [&](const Kernels &on, uint8_t *found) {
    std::fill(upper.begin(), upper.end(), 0);
    *found = on.inverseCholesky(check.pool, h.data(), upper.data(), n);
  });
}

inline void checkDoubles(Check &check) {
  UpdateShape shape{};
  shape.rows = upTo(90);
  shape.k = upTo(140);
  shape.n = upTo(100);
  shape.bRow = Index(generator() % 5);
  shape.cStart = Index(generator() % shape.n);
  const auto a = normals<double>(shape.rows * shape.k), b = normals<double>((shape.bRow + shape.k) * shape.n);
  check.same<double>("subtractProduct", shape.rows * shape.n, 1e-12, [&](const Kernels &on, double *c) {
    on.subtractProduct(check.pool, c, a.data(), b.data(), shape);
  }, 0.5);
  check.same<double>("product", shape.rows * shape.n, 1e-12, [&](const Kernels &on, double *c) {
    on.product(check.pool, a.data(), b.data(), c, shape.rows, shape.k, shape.n);
  });
}

inline void checkAlgebra(Check &check) {
  checkGram(check);
  checkFactors(check);
  checkDoubles(check);
}

}  // namespace fewbit
