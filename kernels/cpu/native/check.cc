// A program of its own: every set of kernels that the processor has, beside the portable one, over random ragged shapes. For processors that only an
// emulator has here (npm run check:arm64). Prints what differs and exits with 1, or one line.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "choose-kernels.h"

namespace fewbit {

namespace {

std::mt19937 generator(1);

Index upTo(Index most) { return 1 + Index(generator() % most); }

std::vector<float> normals(Index count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values) value = normal(generator);
  return values;
}

std::vector<uint8_t> codesBelow(Index count, int limit) {
  std::vector<uint8_t> codes(count);
  for (uint8_t &code : codes) code = uint8_t(generator() % limit);
  return codes;
}

double distance(const std::vector<float> &got, const std::vector<float> &want) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < want.size(); i++) {
    difference += std::pow(double(got[i]) - want[i], 2);
    size += std::pow(double(want[i]), 2);
  }
  return std::sqrt(difference / std::fmax(size, 1e-30));
}

struct Check {
  const Kernels &kernels;
  Pool pool{2};
  int failures = 0;

  explicit Check(const Kernels &kernels) : kernels(kernels) {}

  /** body(kernels, out) by both; the relative distance of the results must not pass `limit`. */
  template <class Body>
  void same(const char *what, size_t count, double limit, Body body) {
    std::vector<float> got(count), want(count);
    body(kernels, got.data());
    body(portableKernels, want.data());
    const double error = distance(got, want);
    if (error <= limit) return;
    failures++;
    std::printf("%s: %s differs from portable by %.2g\n", kernels.name, what, error);
  }

  void products() {
    const Index m = upTo(40), k = upTo(300), n = upTo(90);
    const auto x = normals(m * k), w = normals(n * k), bias = normals(n);
    same("matmul", m * n, 1e-6, [&](const Kernels &on, float *out) { on.matmul(pool, x.data(), w.data(), bias.data(), out, m, k, n); });
    std::vector<uint16_t> narrow(n * k);
    kernels.shorten(pool, w.data(), narrow.data(), n * k);
    same("matmulShort", m * n, 1e-6, [&](const Kernels &on, float *out) { on.matmulShort(pool, x.data(), narrow.data(), nullptr, out, m, k, n); });
    std::vector<double> sums(k * k), wanted(k * k);
    kernels.gram(pool, x.data(), x.data(), sums.data(), m, k, k);
    portableKernels.gram(pool, x.data(), x.data(), wanted.data(), m, k, k);
    same("gram", k * k, 1e-6, [&](const Kernels &on, float *out) {
      const auto &from = &on == &kernels ? sums : wanted;
      for (Index i = 0; i < k; i++)
        for (Index j = i; j < k; j++) out[i * k + j] = float(from[i * k + j]);
    });
  }

  void integers() {
    QuantizedShape shape{};
    shape.rows = upTo(90);
    shape.cols = upTo(300);
    shape.group = smallestOf(shape.cols, 16 * upTo(10));
    shape.slot = 2 << generator() % 3;
    shape.scaleType = ScaleType::f32;
    shape.ownZeros = generator() % 2 == 0;
    shape.zero = 1;
    const Index m = upTo(20), groups = (shape.cols + shape.group - 1) / shape.group;
    const auto codes = codesBelow(shape.rows * shape.cols, 1 << shape.slot), zeros = codesBelow(shape.rows * groups, 1 << shape.slot);
    const auto scales = normals(shape.rows * groups), x = normals(m * shape.cols);
    // a fused product may round an activation to the neighbour of what two roundings give
    for (const int bits : {16, 8}) {
      shape.activationBits = bits;
      same("matmulQuantized", m * shape.rows, bits == 16 ? 2e-5 : 2e-2, [&](const Kernels &on, float *out) {
        std::vector<char> packed(on.packedBytes(shape) + 64);
        on.packCodes(pool, codes.data(), scales.data(), zeros.data(), 1, shape, packed.data());
        const QuantizedProduct product{packed.data(), shape, nullptr, out};
        on.matmulQuantized(pool, x.data(), &product, 1, m);
      });
    }
  }

  void levels() {
    LevelsShape shape{};
    shape.rows = upTo(60);
    shape.cols = upTo(200);
    shape.span = smallestOf(shape.cols, 2 * upTo(40));
    shape.coding = static_cast<Coding>(generator() % 5);
    shape.bits = shape.coding == Coding::nibbles ? 4 : 8;
    shape.bases = generator() % 2 == 0;
    const Index m = upTo(20), spans = (shape.cols + shape.span - 1) / shape.span;
    // below the small floats that are infinite or no number
    const auto codes = codesBelow(shape.rows * shape.cols, shape.bits == 4 ? 16 : 0x7c);
    const auto scales = normals(shape.rows * spans), bases = normals(shape.rows * spans), table = normals(256), x = normals(m * shape.cols);
    same("matmulLevels", m * shape.rows, 2e-6, [&](const Kernels &on, float *out) {
      std::vector<char> packed(on.levelsBytes(shape) + 64);
      on.packLevels(pool, codes.data(), scales.data(), bases.data(), table.data(), shape, packed.data());
      on.matmulLevels(pool, x.data(), packed.data(), shape, nullptr, out, m);
    });
  }

  void sparse() {
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
    same("addSparse", m * n, 1e-6, [&](const Kernels &on, float *out) {
      const SparseProduct product{rows, out, n};
      on.addSparse(pool, x.data(), &product, 1, m, k);
    });
    const uint32_t indices[] = {uint32_t(n - 1), 0};
    same("putEntries", 2 * k, 0, [&](const Kernels &on, float *out) { on.putEntries(pool, rows, indices, 2, k, out); });
  }

  void attention() {
    AttentionShape shape{};
    shape.keyValueHeads = upTo(3);
    shape.heads = shape.keyValueHeads * upTo(3);
    shape.headSize = upTo(70);
    shape.m = upTo(12);
    shape.start = Index(generator() % 150);
    shape.scale = 0.3f;
    shape.window = generator() % 2 ? upTo(40) : 0;
    const Index keys = shape.start + shape.m, width = shape.heads * shape.headSize;
    shape.pageRows = 64;
    const auto q = normals(shape.m * width), k = normals(keys * shape.keyValueHeads * shape.headSize), v = normals(k.size());
    shape.keys.kind = PageKind::floats;
    shape.keys.n = shape.keyValueHeads * shape.headSize;
    shape.keys.bytes = shape.keys.n * 4;
    shape.values = shape.keys;
    std::vector<const char *> keyPages, valuePages;
    for (Index first = 0; first < keys; first += shape.pageRows) {
      keyPages.push_back(reinterpret_cast<const char *>(k.data() + first * shape.keyValueHeads * shape.headSize));
      valuePages.push_back(reinterpret_cast<const char *>(v.data() + first * shape.keyValueHeads * shape.headSize));
    }
    same("attention", shape.m * width, 2e-6,
         [&](const Kernels &on, float *out) { on.attention(pool, q.data(), keyPages.data(), valuePages.data(), out, shape); });
  }

  void rest() {
    const Index rows = upTo(5), n = upTo(200);
    const auto x = normals(rows * n), gain = normals(n), bias = normals(n);
    same("rmsNorm", rows * n, 1e-6, [&](const Kernels &on, float *out) { on.rmsNorm(pool, x.data(), gain.data(), out, rows, n, 1e-5, 0); });
    same("layerNorm", rows * n, 2e-6, [&](const Kernels &on, float *out) { on.layerNorm(pool, x.data(), gain.data(), bias.data(), out, rows, n, 1e-5); });
    same("gated", rows * n, 1e-6, [&](const Kernels &on, float *out) { on.gated(pool, x.data(), x.data(), out, rows * n, Activation::silu); });
    same("softcap", rows * n, 1e-6, [&](const Kernels &on, float *out) { on.softcap(pool, x.data(), out, rows * n, 3); });
  }

  static Index smallestOf(Index a, Index b) { return a < b ? a : b; }
};

}  // namespace

}  // namespace fewbit

int main() {
  int failures = 0;
  for (const fewbit::Kernels *kernels : fewbit::usableKernels()) {
    fewbit::Check check(*kernels);
    for (int i = 0; i < 40; i++) {
      check.products();
      check.integers();
      check.levels();
      check.sparse();
      check.attention();
      check.rest();
    }
    failures += check.failures;
    if (check.failures == 0) std::printf("%s: as portable\n", kernels->description);
  }
  return failures > 0;
}
