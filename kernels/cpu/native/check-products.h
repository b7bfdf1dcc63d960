// Products with weights of every form, and rows of them.
#pragma once

#include "check.h"

namespace fewbit {

inline void checkFloats(Check &check) {
  const Index m = upTo(40), k = upTo(300), n = upTo(90);
  const auto x = normals(m * k), bias = normals(n);
  auto w = normals(n * k);
  const float *added = either() ? bias.data() : nullptr;
  check.same("matmul", m * n, 1e-6, [&](const Kernels &on, float *out) { on.matmul(check.pool, x.data(), w.data(), added, out, m, k, n); });
  std::vector<uint16_t> narrow(n * k);
  check.sameBits<uint8_t>("shorten what bf16 does not hold", 1,
                          [&](const Kernels &on, uint8_t *exact) { *exact = on.shorten(check.pool, w.data(), narrow.data(), n * k); });
  for (float &value : w) {
    uint32_t word;
    std::memcpy(&word, &value, 4);
    word &= 0xffff0000;
    std::memcpy(&value, &word, 4);
  }
  check.sameBits<uint16_t>("shorten", n * k + 1, [&](const Kernels &on, uint16_t *out) { out[n * k] = on.shorten(check.pool, w.data(), out, n * k); });
  portableKernels.shorten(check.pool, w.data(), narrow.data(), n * k);
  check.same("matmulShort", m * n, 1e-6, [&](const Kernels &on, float *out) { on.matmulShort(check.pool, x.data(), narrow.data(), added, out, m, k, n); });
  const Index count = upTo(8);
  const auto rows = someRows(count, n);
  check.sameBits("widenRows", count * k, [&](const Kernels &on, float *out) { on.widenRows(check.pool, narrow.data(), rows.data(), out, count, k); });
}

inline void checkIntegers(Check &check) {
  QuantizedShape shape{};
  shape.rows = upTo(90);
  shape.cols = upTo(300);
  shape.group = smallestOf(shape.cols, 16 * upTo(10));
  shape.bits = 2 + int(generator() % 7);
  shape.named = shape.bits == 4 && either();
  shape.scaleType = shape.bits <= 6 && either() ? ScaleType::i8 : static_cast<ScaleType>(generator() % (shape.named ? 5 : 3));
  const bool hasSteps = shape.scaleType == ScaleType::i8, ofBytes = shape.scaleType >= ScaleType::e8m0;
  // one chunk each, and several of them under a step
  if (hasSteps) shape.group = smallestOf(shape.group, 128);
  shape.stepInputs = hasSteps ? shape.group * upTo(4) : 0;
  shape.origin = static_cast<Origin>(generator() % (ofBytes && !hasSteps ? 2 : 3));
  shape.zero = shape.origin == Origin::bases ? 0 : 1;
  const Index m = upTo(20), tileRows = hasSteps ? 1 : upTo(3), tiles = (shape.rows + tileRows - 1) / tileRows * ((shape.cols + shape.group - 1) / shape.group);
  const auto codes = codesBelow(shape.rows * shape.cols, 1 << shape.bits), zeros = codesBelow(tiles, 1 << shape.bits);
  // of a byte: E8M0 up to 2^−1, or all positive finite E4M3; those under steps have signs
  const auto levels = codesBelow(16, 256), bytes = codesBelow(tiles, hasSteps ? 256 : 0x7f), baseBytes = codesBelow(tiles, 256);
  const auto x = normals(m * shape.cols), bias = normals(shape.rows);
  // every type holds these
  const auto numbers = [](Index count) {
    auto found = normals(count);
    for (float &number : found) number = std::round(number * 64) / 64 + 1 / 128.f;
    return found;
  };
  const auto scales = numbers(tiles), bases = numbers(tiles), steps = numbers(hasSteps ? 2 * shape.rows * (shape.cols / shape.stepInputs + 1) : 0);
  const auto packed = [&](const Kernels &on) {
    std::vector<char> form(on.packedBytes(shape) + 64);
    const auto held = [&](const auto &ofByte, const auto &ofFloat) { return ofBytes ? static_cast<const void *>(ofByte.data()) : ofFloat.data(); };
    const float divisor = ofBytes && !hasSteps ? 3 : 1;
    on.packCodes(check.pool, {codes.data(), held(bytes, scales), zeros.data(), held(baseBytes, bases), steps.data(), levels.data(), divisor, tileRows},
                 shape, form.data());
    return form;
  };
  const Index count = upTo(8);
  const auto rows = someRows(count, shape.rows);
  // a product and its base may be added with one rounding
  check.same("unpackRows", count * shape.cols, shape.origin == Origin::bases ? 2e-7 : 0, [&](const Kernels &on, float *out) {
    on.unpackRows(check.pool, packed(on).data(), shape, rows.data(), count, out);
  });
  // a fused product may round an activation to the neighbour of what two roundings give
  for (const int bits : {16, 8}) {
    shape.activationBits = bits;
    check.same("matmulQuantized", 2 * m * shape.rows, bits == 16 ? 2e-5 : 2e-2, [&](const Kernels &on, float *out) {
      const auto form = packed(on);
      const QuantizedProduct products[] = {{form.data(), shape, nullptr, out}, {form.data(), shape, bias.data(), out + m * shape.rows}};
      on.matmulQuantized(check.pool, x.data(), products, 2, m);
    });
  }
}

inline void checkLevels(Check &check) {
  LevelsShape shape{};
  shape.rows = upTo(60);
  shape.cols = upTo(generator() % 4 == 0 ? 800 : 200);
  shape.span = smallestOf(shape.cols, 2 * upTo(40));
  shape.coding = static_cast<Coding>(generator() % 5);
  shape.bits = shape.coding == Coding::nibbles ? 4 : 8;
  shape.ownTables = shape.coding <= Coding::bytes && generator() % 3 == 0;
  shape.scaleType = static_cast<ScaleType>(generator() % 4);
  const Index m = upTo(20), spans = (shape.cols + shape.span - 1) / shape.span;
  // below the small floats that are infinite or no number
  const auto codes = codesBelow(shape.rows * shape.cols, shape.bits == 4 ? 16 : 0x7c);
  const auto x = normals(m * shape.cols), bias = normals(shape.rows);
  const auto bytes = codesBelow(shape.rows * spans, 0x7f);
  auto scales = normals(shape.rows * spans);
  for (float &scale : scales) scale = std::round(scale * 64) / 64 + 1 / 128.f;  // every type of floats holds these
  const void *held = shape.scaleType == ScaleType::e8m0 ? static_cast<const void *>(bytes.data()) : scales.data();
  auto tables = normals((shape.ownTables ? shape.rows * spans : 1) << shape.bits);
  if (shape.coding == Coding::integers)
    for (size_t code = 0; code < tables.size(); code++) tables[code] = float(code) - 3;
  const auto packed = [&](const Kernels &on) {
    std::vector<char> form(on.levelsBytes(shape) + 64);
    on.packLevels(check.pool, codes.data(), shape.ownTables ? nullptr : held, tables.data(), shape, form.data());
    return form;
  };
  check.same("matmulLevels", m * shape.rows, 2e-6, [&](const Kernels &on, float *out) {
    on.matmulLevels(check.pool, x.data(), packed(on).data(), shape, bias.data(), out, m);
  });
  const Index count = upTo(8);
  const auto rows = someRows(count, shape.rows);
  check.same("unpackLevels", count * shape.cols, 2e-7, [&](const Kernels &on, float *out) {
    on.unpackLevels(check.pool, packed(on).data(), shape, rows.data(), count, out);
  });
}

inline void checkSparse(Check &check) {
  const Index m = upTo(40), k = upTo(300), n = upTo(150);
  std::vector<uint32_t> starts{0}, columns;
  for (Index row = 0; row < n; row++) {
    const unsigned one = generator() % 3 == 0 ? 1 : 30;
    for (Index column = 0; column < k; column++)
      if (generator() % one == 0) columns.push_back(uint32_t(column));
    starts.push_back(uint32_t(columns.size()));
  }
  const auto values = normals(Index(columns.size())), x = normals(m * k);
  const SparseRows rows{starts.data(), columns.data(), values.data()};
  check.same(
      "addSparse", 2 * m * n, 1e-6,
      [&](const Kernels &on, float *out) {
        const SparseProduct products[] = {{rows, out, n}, {rows, out + m * n, n}};
        on.addSparse(check.pool, x.data(), products, 2, m, k);
      },
      0.5f);
  const uint32_t indices[] = {uint32_t(n - 1), 0};
  check.sameBits("putEntries", 2 * k, [&](const Kernels &on, float *out) { on.putEntries(check.pool, rows, indices, 2, k, out); });
}

}  // namespace fewbit
