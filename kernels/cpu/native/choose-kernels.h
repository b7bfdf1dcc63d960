// Which tables this processor can run.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <string>
#include <vector>

#include "kernels.h"

namespace fewbit {

/** `of` with products by codes for processors that add products of bytes in one instruction. */
inline Kernels withByteProducts(Kernels of, const char *name, const char *description, decltype(Kernels::matmulQuantized) products) {
  of.name = name;
  of.description = description;
  of.matmulQuantized = products;
  return of;
}

#if defined(__x86_64__) || defined(_M_X64)
inline const Kernels &avx512VnniKernels() {
  static const Kernels table = withByteProducts(avx512Kernels, "avx512vnni", "AVX-512 with VNNI", matmulQuantizedAvx512Vnni);
  return table;
}

inline const Kernels &avx2VnniKernels() {
  static const Kernels table = withByteProducts(avx2Kernels, "avx2vnni", "AVX2 with VNNI", matmulQuantizedAvx2Vnni);
  return table;
}

/** VNNI of AVX2, which not every compiler knows by name. */
inline bool hasAvx2Vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & 1 << 4) != 0;
}
#elif defined(__aarch64__) || defined(_M_ARM64)
inline const Kernels &neonDotKernels() {
  static const Kernels table = withByteProducts(neonKernels, "neondot", "NEON with dot products", matmulQuantizedNeonDot);
  return table;
}

/** Dot products of bytes, which every Mac has. */
inline bool hasNeonDot() {
#if defined(__APPLE__)
  return true;
#elif defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
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
  if (avx2 && hasAvx2Vnni()) tables.push_back(&avx2VnniKernels());
  if (avx2) tables.push_back(&avx2Kernels);
#elif defined(__aarch64__) || defined(_M_ARM64)
  if (hasNeonDot()) tables.push_back(&neonDotKernels());
  tables.push_back(&neonKernels);
#endif
  tables.push_back(&portableKernels);
  return tables;
}

}  // namespace fewbit
