// Ops as JavaScript writes them down, to be run in one go: numbers one after the other, for each op its command and then its operands. Addresses
// and sizes are exact in a double; a missing operand's address is 0.
#pragma once

#include "kernels.h"

namespace fewbit {

/** Operands in the order of the kernels' parameters (commands.cc); src/command-queue.ts has the same names in the same order. */
enum class Command {
  matmul,
  matmulShort,
  matmulQuantized,
  matmulLevels,
  addSparse,
  widenRows,
  unpackRows,
  unpackLevels,
  putEntries,
  pickRows,
  copyRows,
  permuteColumns,
  storePage,
  attention,
  rmsNorm,
  layerNorm,
  rotate,
  add,
  scale,
  softcap,
  activate,
  gated,
  crossEntropy,
  sample,
  roundActivations,
  discardPages,
  packCodes,
  packLevels,
};

/** Runs the commands in [from, end). Throws std::bad_alloc. */
void runCommands(Pool &, const Kernels &, const double *from, const double *end);

}  // namespace fewbit
