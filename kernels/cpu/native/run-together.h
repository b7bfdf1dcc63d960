// Commands that run in one job with those behind them, where these fit: threads meet once for all of them. Each returns what comes behind the last.
#pragma once

#include <algorithm>
#include <tuple>
#include <vector>

#include "commands.h"
#include "operands.h"
#include "read-shapes.h"

namespace fewbit {

namespace {

Command commandAt(const double *at) { return static_cast<Command>(static_cast<int>(*at)); }

bool differInRowsAlone(const QuantizedShape &a, const QuantizedShape &b) {
  const auto rest = [](const QuantizedShape &of) {
    return std::make_tuple(of.cols, of.group, of.bits, of.named, of.scaleType, of.stepInputs, of.origin, of.zero, of.activationBits);
  };
  return rest(a) == rest(b);
}

/** What is added to a product beside its codes. */
struct SparseOperands {
  const float *x;
  Index m, k;
  SparseProduct product;
};

SparseOperands readSparse(Operands &of) {
  SparseOperands read{};
  read.x = of.array();
  read.product.of = of.sparse();
  read.product.out = of.array();
  for (Index *size : {&read.m, &read.k, &read.product.rows}) *size = of.index();
  return read;
}

/** A product, and those behind it of the same x that can be run with it: x is rounded once. What is added to them beside their codes comes after all of them. */
const double *runProducts(Pool &pool, const Kernels &kernels, Operands of, const double *end) {
  const double *behind;
  const auto read = [&](const float *&x, Index &m) {
    QuantizedProduct product{};
    x = of.array();
    product.packed = of.array<char>();
    product.bias = of.array();
    product.out = of.array();
    m = of.index();
    product.shape = quantizedShape(of);
    behind = of.position();
    return product;
  };
  const float *x, *nextX;
  Index m, nextM;
  std::vector<QuantizedProduct> products{read(x, m)};
  std::vector<SparseProduct> added;
  for (const double *next = behind; next < end; next = behind) {
    of = Operands(next + 1);
    if (commandAt(next) == Command::addSparse) {
      const SparseOperands sparse = readSparse(of);
      if (sparse.x != x || sparse.m != m) break;
      added.push_back(sparse.product);
      behind = of.position();
      continue;
    }
    if (commandAt(next) != Command::matmulQuantized) break;
    const QuantizedProduct product = read(nextX, nextM);
    const auto fits = [&](const QuantizedProduct &other) { return product.out != other.out && differInRowsAlone(product.shape, other.shape); };
    if (nextX != x || nextM != m || !std::all_of(products.begin(), products.end(), fits)) {
      behind = next;
      break;
    }
    products.push_back(product);
  }
  kernels.matmulQuantized(pool, x, products.data(), Index(products.size()), m);
  if (!added.empty()) kernels.addSparse(pool, x, added.data(), Index(added.size()), m, products[0].shape.cols);
  return behind;
}

/** Attention as it is written down. */
struct AttentionOperands {
  const float *q;
  float *out;
  AttentionShape shape{};
  std::vector<const char *> k, v;

  explicit AttentionOperands(Operands &of) {
    q = of.array();
    out = of.array();
    for (Index *size : {&shape.m, &shape.heads, &shape.keyValueHeads, &shape.headSize, &shape.start, &shape.window, &shape.pageRows}) *size = of.index();
    shape.scale = float(of.number());
    shape.softcap = float(of.number());
    shape.keys = pageShape(of);
    shape.values = pageShape(of);
    const Index pages = of.index();
    k = of.arrays(pages);
    v = of.arrays(pages);
  }
  /** Whether it reads or writes what begins there. Tensors lie apart, or begin at the same place. */
  bool uses(const float *tensor) const {
    const auto has = [&](const std::vector<const char *> &pages) {
      return std::find(pages.begin(), pages.end(), reinterpret_cast<const char *>(tensor)) != pages.end();
    };
    return tensor == q || tensor == out || has(k) || has(v);
  }
};

/** Attention of a sequence, and that of others behind it: each alone may be less than the threads can share. */
const double *runAttention(Pool &pool, const Kernels &kernels, Operands of, const double *end) {
  std::vector<AttentionOperands> read{AttentionOperands(of)};
  const double *behind = of.position();
  while (behind < end && commandAt(behind) == Command::attention) {
    of = Operands(behind + 1);
    AttentionOperands next(of);
    const auto apart = [&](const AttentionOperands &other) { return !next.uses(other.out) && !other.uses(next.out); };
    if (!std::all_of(read.begin(), read.end(), apart)) break;
    read.push_back(std::move(next));
    behind = of.position();
  }
  std::vector<SequenceAttention> sequences;
  for (const auto &[q, out, shape, k, v] : read) sequences.push_back({q, k.data(), v.data(), out, shape});
  kernels.attention(pool, sequences.data(), Index(sequences.size()));
  return behind;
}

}  // namespace

}  // namespace fewbit
