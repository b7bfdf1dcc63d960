// Rounded inputs, pages of a KV cache in every form, and attention over them.
#pragma once

#include "check.h"

namespace fewbit {

/** As rounding-shape.ts makes them, by token: integers of `bits` bits, or E4M3 or E5M2 as `fine` says. */
inline RoundingShape rounding(RoundingKind kind, Index group, int bits, bool fine) {
  RoundingShape shape{};
  shape.group = group;
  shape.rows = 1;
  shape.kind = kind;
  const float top = float((1 << bits) - 1), middle = float(1 << (bits - 1));
  const bool integers = kind <= RoundingKind::halves || kind >= RoundingKind::signedScale;
  if (integers) {
    shape.steps = kind == RoundingKind::symmetric ? top / 2 : kind == RoundingKind::asymmetric || kind == RoundingKind::freeRange ? top : middle - 1;
    shape.top = top;
    shape.zero = middle;
    shape.emptyScale = 1 / shape.steps;
    return shape;
  }
  shape.mantissa = fine ? 3 : 2;
  shape.largest = fine ? 448 : 57344;
  shape.smallestNormal = fine ? 0x1p-6f : 0x1p-14f;
  shape.steps = kind == RoundingKind::power ? fine ? 8 : 15 : shape.largest;
  shape.emptyScale = kind == RoundingKind::floats ? 0x1p-23f : 0;
  shape.divisor = kind == RoundingKind::nested ? 777.5f : 0;
  return shape;
}

inline void checkRounding(Check &check) {
  const Index m = upTo(20), n = upTo(200);
  auto x = normals(m * n);
  for (float &value : x)
    if (generator() % 10 == 0) value = float(generator() % 17) / 2 - 4;
  if (generator() % 4 == 0) x[generator() % x.size()] = either() ? std::nanf("") : INFINITY;
  for (int kind = 0; kind < 8; kind++) {
    RoundingShape shape = rounding(static_cast<RoundingKind>(kind), upTo(2 * n), generator() % 3 == 0 ? 4 : 8, either());
    if (either()) shape.outlierThreshold = 1.2f;
    if (shape.kind != RoundingKind::power && shape.kind != RoundingKind::nested) shape.scaleType = static_cast<ScaleType>(generator() % 3);
    const Index everyRow = Index(1) << 30, rows[] = {1, 0, 3, everyRow};
    shape.rows = rows[generator() % 4];
    if (shape.rows == 1 && shape.kind != RoundingKind::nested && generator() % 3 == 0) shape.given = true, shape.scale = 0.011f;
    const Index first = Index(generator() % n), count = n - first;
    check.sameBits("roundActivations", m * n, [&](const Kernels &on, float *out) {
      on.roundActivations(check.pool, x.data() + first, out + first, m, count, n, shape);
    });
  }
}

/** As laidOut() of page-shape.ts. */
inline PageShape page(PageKind kind, Index n, const RoundingShape &rounding) {
  PageShape shape{};
  shape.kind = kind;
  shape.n = n;
  const Index width = kind == PageKind::floats ? 32 : kind == PageKind::halves ? 16 : kind == PageKind::nibbles ? 4 : 8;
  shape.group = width > 8 ? n : smallestOf(n, rounding.group);
  shape.ownZeros = width <= 8 && rounding.kind == RoundingKind::asymmetric;
  shape.zero = width > 8 ? 0 : rounding.zero;
  const Index groups = width > 8 ? 0 : (n + shape.group - 1) / shape.group;
  shape.scales = (n * width + 31) / 32 * 4;
  shape.zeros = shape.scales + groups * 4;
  shape.bytes = (shape.zeros + (shape.ownZeros ? groups : 0) + 3) / 4 * 4;
  return shape;
}

/** Pages of `rows` rows that a set of kernels has stored. */
struct Pages {
  std::vector<std::vector<char>> memory;
  std::vector<const char *> addresses;

  Pages(Check &check, const Kernels &on, const std::vector<float> &x, const PageShape &shape, Index rows, const RoundingShape &rounding) {
    for (Index first = 0; first * shape.n < Index(x.size()); first += rows) {
      const Index count = smallestOf(rows, Index(x.size()) / shape.n - first);
      memory.emplace_back(rows * shape.bytes + 64);
      char *to = memory.back().data();
      const float *from = x.data() + first * shape.n;
      if (shape.kind == PageKind::floats) {
        std::memcpy(to, from, count * shape.bytes);
        continue;
      }
      // in two pieces
      on.storePage(check.pool, from, to, shape, 0, count / 2, rounding);
      on.storePage(check.pool, from + count / 2 * shape.n, to, shape, count / 2, count - count / 2, rounding);
    }
    for (const auto &each : memory) addresses.push_back(each.data());
  }
};

inline void checkAttention(Check &check, PageKind kind) {
  AttentionShape shape{};
  shape.keyValueHeads = upTo(3);
  shape.heads = shape.keyValueHeads * upTo(4);
  shape.headSize = kind == PageKind::nibbles ? 2 * upTo(35) : upTo(70);
  shape.m = either() ? 1 : upTo(12);
  shape.start = Index(generator() % 150);
  shape.scale = 0.3f;
  shape.window = either() ? upTo(40) : 0;
  shape.softcap = generator() % 4 == 0 ? 5.f : 0;
  shape.pageRows = upTo(90);
  const Index keys = shape.start + shape.m, width = shape.heads * shape.headSize, n = shape.keyValueHeads * shape.headSize;
  const bool isFloat = kind == PageKind::e4m3 || kind == PageKind::e5m2;
  const RoundingKind integers = either() ? RoundingKind::symmetric : RoundingKind::asymmetric;
  const RoundingKind floats = either() ? RoundingKind::floats : RoundingKind::power;
  const RoundingShape round = rounding(isFloat ? floats : integers, 2 * upTo(n), kind == PageKind::nibbles ? 4 : 8, kind == PageKind::e4m3);
  shape.keys = shape.values = page(kind, n, round);
  const auto q = normals(keys * width), k = normals(keys * n), v = normals(keys * n);
  check.sameBits<char>("storePage", shape.keys.bytes * smallestOf(keys, shape.pageRows), [&](const Kernels &on, char *out) {
    const Pages pages(check, on, k, shape.keys, shape.pageRows, round);
    std::memcpy(out, pages.addresses[0], shape.keys.bytes * smallestOf(keys, shape.pageRows));
  });
  // Sequences at other positions beside it, as if their pages were the same.
  std::vector<AttentionShape> shapes(3, shape);
  Index rows = shape.m;
  for (int other = 1; other < 3; other++) {
    shapes[other].start = Index(generator() % keys);
    shapes[other].m = upTo(keys - shapes[other].start);
    rows += shapes[other].m;
  }
  check.same("attention", rows * width, 3e-6, [&](const Kernels &on, float *out) {
    const Pages keyPages(check, on, k, shape.keys, shape.pageRows, round), valuePages(check, on, v, shape.values, shape.pageRows, round);
    std::vector<SequenceAttention> sequences;
    for (const AttentionShape &each : shapes) {
      sequences.push_back({q.data(), keyPages.addresses.data(), valuePages.addresses.data(), out, each});
      out += each.m * width;
    }
    on.attention(check.pool, sequences.data(), Index(sequences.size()));
  });
}

inline void checkPages(Check &check) {
  checkRounding(check);
  for (int kind = 0; kind < 6; kind++) checkAttention(check, static_cast<PageKind>(kind));
}

}  // namespace fewbit
