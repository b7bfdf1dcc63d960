// Everything that goes value by value or row by row.
#pragma once

#include <algorithm>

#include "check.h"

namespace fewbit {

inline void checkNorms(Check &check) {
  const Index rows = upTo(20), n = upTo(300);
  const auto x = normals(rows * n), gain = normals(n), bias = normals(n);
  check.same("rmsNorm", rows * n, 1e-6, [&](const Kernels &on, float *out) { on.rmsNorm(check.pool, x.data(), gain.data(), out, rows, n, 1e-5, 1); });
  check.same("layerNorm", rows * n, 1e-6, [&](const Kernels &on, float *out) {
    on.layerNorm(check.pool, x.data(), gain.data(), bias.data(), out, rows, n, 1e-2);
  });
  const Index headSize = 2 * upTo(40), width = headSize * upTo(4), pairs = upTo(headSize / 2);
  const auto turned = normals(rows * width);
  std::vector<float> frequencies(pairs);
  for (Index i = 0; i < pairs; i++) frequencies[i] = std::pow(1e4f, -float(i) / float(pairs));
  const Index start = Index(generator() % 5000);
  check.same("rotate", rows * width, 1e-6, [&](const Kernels &on, float *out) {
    on.rotate(check.pool, turned.data(), out, rows, width, headSize, frequencies.data(), pairs, 1.25, start);
  });
}

inline void checkElements(Check &check) {
  const Index rows = upTo(20), n = upTo(400), count = rows * n;
  auto x = normals(count), y = normals(count);
  for (float &value : x) value *= 4;
  x[0] = 90, x[count - 1] = -200;  // where functions saturate
  check.sameBits("add", count, [&](const Kernels &on, float *out) { on.add(check.pool, x.data(), y.data(), out, rows, n, false); });
  check.sameBits("add of a row", count, [&](const Kernels &on, float *out) { on.add(check.pool, x.data(), y.data(), out, rows, n, true); });
  check.sameBits("scale", count, [&](const Kernels &on, float *out) { on.scale(check.pool, x.data(), out, count, -0.3f); });
  check.same("softcap", count, 1e-6, [&](const Kernels &on, float *out) { on.softcap(check.pool, x.data(), out, count, 3); });
  for (int function = 0; function < 4; function++) {
    const auto activation = static_cast<Activation>(function);
    check.same("activate", count, 1e-6, [&](const Kernels &on, float *out) { on.activate(check.pool, x.data(), out, count, activation); });
    check.same("gated", count, 1e-6, [&](const Kernels &on, float *out) { on.gated(check.pool, x.data(), y.data(), out, count, activation); });
  }
  check.sameBits<int32_t>("stream", 1, [&](const Kernels &on, int32_t *out) { *out = on.stream(check.pool, x.data(), count); });
}

inline void checkCopies(Check &check) {
  const Index rows = upTo(20), n = upTo(400), count = upTo(20);
  const auto x = normals(rows * n);
  const auto chosen = someRows(count, rows);
  std::vector<uint32_t> order(n);
  for (Index column = 0; column < n; column++) order[column] = uint32_t(column);
  std::shuffle(order.begin(), order.end(), generator);
  for (const bool back : {false, true})
    check.sameBits("permuteColumns", rows * n, [&](const Kernels &on, float *out) {
      on.permuteColumns(check.pool, x.data(), order.data(), out, rows, n, back);
    });
  check.sameBits("copyRows", count * (n + 3), [&](const Kernels &on, float *out) {
    on.copyRows(check.pool, reinterpret_cast<const char *>(x.data()), n * 4, chosen.data(), reinterpret_cast<char *>(out), (n + 3) * 4, count, n * 4);
  });
  const auto targets = someRows(rows, n);
  check.same("crossEntropy", rows, 1e-6, [&](const Kernels &on, float *out) { on.crossEntropy(check.pool, x.data(), targets.data(), out, rows, n); });
  std::vector<Draw> draws(rows);
  for (Draw &draw : draws)
    draw = {double(generator()) / 4294967296.0, either() ? 0 : 0.7f, either() ? 0 : upTo(n), either() ? 1 : 0.9, either() ? 0 : 0.05f};
  check.sameBits("sample", rows, [&](const Kernels &on, float *out) { on.sample(check.pool, x.data(), draws.data(), out, rows, n); });
}

inline void checkRows(Check &check) {
  checkNorms(check);
  checkElements(check);
  checkCopies(check);
}

}  // namespace fewbit
