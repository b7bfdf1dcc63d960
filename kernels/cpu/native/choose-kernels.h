// Which tables this processor can run.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace fewbit {

#if defined(__x86_64__) || defined(_M_X64)
inline const Kernels &avx512VnniKernels() {
  static const Kernels table = [] {
    Kernels kernels = avx512Kernels;
    kernels.name = "avx512vnni";
    kernels.description = "AVX-512 with VNNI";
    kernels.matmulQuantized = matmulQuantizedVnni;
    return kernels;
  }();
  return table;
}
#endif

/** Every table that runs here, the fastest first. */
inline std::vector<const Kernels *> usableKernels() {
  std::vector<const Kernels *> tables;
#if defined(__x86_64__) || defined(_M_X64)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq");
  if (avx512 && __builtin_cpu_supports("avx512vnni")) tables.push_back(&avx512VnniKernels());
  if (avx512) tables.push_back(&avx512Kernels);
  if (avx2) tables.push_back(&avx2Kernels);
#elif defined(__aarch64__) || defined(_M_ARM64)
  tables.push_back(&neonKernels);
#endif
  tables.push_back(&portableKernels);
  return tables;
}

}  // namespace fewbit
