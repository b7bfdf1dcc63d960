#include "commands.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "map-file.h"
#include "operands.h"
#include "read-shapes.h"

namespace fewbit {

namespace {

Command commandAt(const double *at) { return static_cast<Command>(static_cast<int>(*at)); }

bool differInRowsAlone(const QuantizedShape &a, const QuantizedShape &b) {
  const auto rest = [](const QuantizedShape &of) {
    return std::make_tuple(of.cols, of.group, of.bits, of.scaleType, of.ownZeros, of.zero, of.activationBits);
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

/**
 * A product, and those behind it of the same x that can be run with it: x is rounded once, and the threads meet once. What is added to them beside
 * their codes comes after all of them.
 */
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

// Operands are read into variables first: the order in which a call's own arguments are evaluated is not defined.
const double *runCommand(Pool &pool, const Kernels &kernels, Command command, Operands of, const double *end) {
  switch (command) {
    case Command::matmul: {
      const auto *x = of.array(), *w = of.array(), *bias = of.array();
      auto *out = of.array();
      const Index m = of.index(), k = of.index(), n = of.index();
      kernels.matmul(pool, x, w, bias, out, m, k, n);
      break;
    }
    case Command::matmulShort: {
      const auto *x = of.array();
      const auto *w = of.array<uint16_t>();
      const auto *bias = of.array();
      auto *out = of.array();
      const Index m = of.index(), k = of.index(), n = of.index();
      kernels.matmulShort(pool, x, w, bias, out, m, k, n);
      break;
    }
    case Command::matmulQuantized: return runProducts(pool, kernels, of, end);
    case Command::matmulLevels: {
      const auto *x = of.array();
      const auto *packed = of.array<char>();
      const auto *bias = of.array();
      auto *out = of.array();
      const Index m = of.index();
      kernels.matmulLevels(pool, x, packed, levelsShape(of), bias, out, m);
      break;
    }
    case Command::addSparse: {
      const SparseOperands sparse = readSparse(of);
      kernels.addSparse(pool, sparse.x, &sparse.product, 1, sparse.m, sparse.k);
      break;
    }
    case Command::putEntries: {
      const SparseRows rows = of.sparse();
      auto *out = of.array();
      const Index n = of.index();
      const auto indices = of.indices();
      kernels.putEntries(pool, rows, indices.data(), Index(indices.size()), n, out);
      break;
    }
    case Command::widenRows: {
      const auto *table = of.array<uint16_t>();
      auto *out = of.array();
      const Index n = of.index();
      const auto indices = of.indices();
      kernels.widenRows(pool, table, indices.data(), out, Index(indices.size()), n);
      break;
    }
    case Command::unpackRows: {
      const auto *packed = of.array<char>();
      auto *out = of.array();
      const QuantizedShape shape = quantizedShape(of);
      const auto indices = of.indices();
      kernels.unpackRows(pool, packed, shape, indices.data(), Index(indices.size()), out);
      break;
    }
    case Command::unpackLevels: {
      const auto *packed = of.array<char>();
      auto *out = of.array();
      const LevelsShape shape = levelsShape(of);
      const auto indices = of.indices();
      kernels.unpackLevels(pool, packed, shape, indices.data(), Index(indices.size()), out);
      break;
    }
    case Command::pickRows: {
      const auto *table = of.array<char>();
      auto *out = of.array<char>();
      const Index bytes = of.index() * 4;
      const auto indices = of.indices();
      kernels.copyRows(pool, table, bytes, indices.data(), out, bytes, Index(indices.size()), bytes);
      break;
    }
    case Command::copyRows: {
      const auto *from = of.array();
      const Index first = of.index(), stride = of.index();
      auto *to = of.array();
      const Index toFirst = of.index(), toStride = of.index(), rows = of.index(), count = of.index();
      kernels.copyRows(pool, reinterpret_cast<const char *>(from + first), stride * 4, nullptr, reinterpret_cast<char *>(to + toFirst),
                       toStride * 4, rows, count * 4);
      break;
    }
    case Command::storePage: {
      const auto *x = of.array();
      auto *page = of.array<char>();
      const Index start = of.index(), rows = of.index();
      const PageShape shape = pageShape(of);
      const RoundingShape rounding = of.rounding();
      kernels.storePage(pool, x, page, shape, start, rows, rounding);
      break;
    }
    case Command::attention: {
      const auto *q = of.array();
      auto *out = of.array();
      AttentionShape shape{};
      for (Index *size : {&shape.m, &shape.heads, &shape.keyValueHeads, &shape.headSize, &shape.start, &shape.window, &shape.pageRows}) *size = of.index();
      shape.scale = float(of.number());
      shape.softcap = float(of.number());
      shape.keys = pageShape(of);
      shape.values = pageShape(of);
      const Index pages = of.index();
      const auto k = of.arrays(pages), v = of.arrays(pages);
      kernels.attention(pool, q, k.data(), v.data(), out, shape);
      break;
    }
    case Command::rmsNorm: {
      const auto *x = of.array(), *gain = of.array();
      auto *out = of.array();
      const Index rows = of.index(), n = of.index();
      const double epsilon = of.number(), gainOffset = of.number();
      kernels.rmsNorm(pool, x, gain, out, rows, n, epsilon, float(gainOffset));
      break;
    }
    case Command::layerNorm: {
      const auto *x = of.array(), *gain = of.array(), *bias = of.array();
      auto *out = of.array();
      const Index rows = of.index(), n = of.index();
      kernels.layerNorm(pool, x, gain, bias, out, rows, n, of.number());
      break;
    }
    case Command::rotate: {
      const auto *x = of.array();
      auto *out = of.array();
      const Index m = of.index(), width = of.index(), headSize = of.index();
      const double amplitude = of.number();
      const Index start = of.index();
      const auto frequencies = of.list<float>();
      kernels.rotate(pool, x, out, m, width, headSize, frequencies.data(), Index(frequencies.size()), amplitude, start);
      break;
    }
    case Command::add: {
      const auto *a = of.array(), *b = of.array();
      auto *out = of.array();
      const Index rows = of.index(), n = of.index();
      kernels.add(pool, a, b, out, rows, n, of.flag());
      break;
    }
    case Command::scale: {
      const auto *x = of.array();
      auto *out = of.array();
      const Index count = of.index();
      kernels.scale(pool, x, out, count, float(of.number()));
      break;
    }
    case Command::softcap: {
      const auto *x = of.array();
      auto *out = of.array();
      const Index count = of.index();
      kernels.softcap(pool, x, out, count, float(of.number()));
      break;
    }
    case Command::activate: {
      const auto *x = of.array();
      auto *out = of.array();
      const Index count = of.index();
      kernels.activate(pool, x, out, count, of.activation());
      break;
    }
    case Command::gated: {
      const auto *gate = of.array(), *up = of.array();
      auto *out = of.array();
      const Index count = of.index();
      kernels.gated(pool, gate, up, out, count, of.activation());
      break;
    }
    case Command::roundActivations: {
      const auto *x = of.array();
      auto *out = of.array();
      const Index rows = of.index(), n = of.index(), stride = of.index();
      kernels.roundActivations(pool, x, out, rows, n, stride, of.rounding());
      break;
    }
    case Command::discardPages: {
      auto *begin = of.array<char>();
      discardPages({begin, size_t(of.index()), 0});
      break;
    }
    case Command::packCodes: {
      const auto *codes = of.array<uint8_t>();
      const auto *scales = of.array();
      const auto *zeros = of.array<uint8_t>();
      auto *packed = of.array<char>();
      const Index tileRows = of.index();
      kernels.packCodes(pool, codes, scales, zeros, tileRows, quantizedShape(of), packed);
      break;
    }
    case Command::packLevels: {
      const auto *codes = of.array<uint8_t>();
      const auto *scales = of.array(), *bases = of.array(), *tables = of.array();
      auto *packed = of.array<char>();
      kernels.packLevels(pool, codes, scales, bases, tables, levelsShape(of), packed);
      break;
    }
    case Command::crossEntropy: {
      const auto *logits = of.array();
      auto *out = of.array();
      const Index n = of.index();
      const auto targets = of.indices();
      kernels.crossEntropy(pool, logits, targets.data(), out, Index(targets.size()), n);
      break;
    }
    case Command::sample: {
      const auto *logits = of.array();
      auto *out = of.array();
      const Index m = of.index(), n = of.index();
      const auto draws = of.draws(m);
      kernels.sample(pool, logits, draws.data(), out, m, n);
      break;
    }
  }
  return of.position();
}

}  // namespace

void runCommands(Pool &pool, const Kernels &kernels, const double *from, const double *end) {
  while (from < end) from = runCommand(pool, kernels, commandAt(from), Operands(from + 1), end);
}

}  // namespace fewbit
