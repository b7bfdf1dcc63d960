#include "commands.h"

#include "map-file.h"
#include "run-together.h"

namespace fewbit {

namespace {

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
    case Command::permuteColumns: {
      const auto *x = of.array();
      const auto *order = of.array<uint32_t>();
      auto *out = of.array();
      const Index rows = of.index(), n = of.index();
      const bool back = of.flag();
      kernels.permuteColumns(pool, x, order, out, rows, n, back);
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
    case Command::attention: return runAttention(pool, kernels, of, end);
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
      CodesToPack from{};
      from.codes = of.array<uint8_t>();
      from.scales = of.array<void>();
      from.zeros = of.array<uint8_t>();
      from.bases = of.array<void>();
      from.steps = of.array();
      from.levels = of.array<uint8_t>();
      auto *packed = of.array<char>();
      from.divisor = float(of.number());
      from.tileRows = of.index();
      kernels.packCodes(pool, from, quantizedShape(of), packed);
      break;
    }
    case Command::packLevels: {
      const auto *codes = of.array<uint8_t>();
      const auto *scales = of.array<void>();
      const auto *tables = of.array();
      auto *packed = of.array<char>();
      kernels.packLevels(pool, codes, scales, tables, levelsShape(of), packed);
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
