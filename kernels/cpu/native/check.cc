// A program of its own: every set of kernels that the processor has, beside the portable one, over random ragged shapes; each function of the table.
// For processors that only an emulator has here (npm run check:arm64). Prints what differs and exits with 1, or one line.
#include "check-algebra.h"
#include "check-pages.h"
#include "check-products.h"
#include "check-rows.h"
#include "choose-kernels.h"

int main() {
  using namespace fewbit;
  int failures = 0;
  for (const Kernels *kernels : usableKernels()) {
    Check check(*kernels);
    for (int round = 0; round < 40; round++)
      for (const auto part : {checkFloats, checkIntegers, checkLevels, checkSparse, checkPages, checkAlgebra, checkRows}) part(check);
    failures += check.failures;
    if (check.failures == 0) std::printf("%s: as portable\n", kernels->description);
  }
  return failures > 0;
}
