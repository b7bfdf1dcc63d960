// What the build at hand may use. Each instruction set compiles the same sources once; FEWBIT_ISA names it.
#pragma once

#define FEWBIT_PORTABLE 0
#define FEWBIT_AVX2 1
#define FEWBIT_AVX512 2
#define FEWBIT_NEON 3

#if FEWBIT_ISA == FEWBIT_AVX512
#define FEWBIT_VECTOR_BYTES 64
#elif FEWBIT_ISA == FEWBIT_AVX2
#define FEWBIT_VECTOR_BYTES 32
#else
#define FEWBIT_VECTOR_BYTES 16
#endif

namespace {

// The register tile of a product, tileRows × tileVectors accumulators: as many as leave registers for one left value and a row of right ones.
#if FEWBIT_ISA == FEWBIT_AVX512
constexpr int tileRows = 14, tileVectors = 2;
#elif FEWBIT_ISA == FEWBIT_AVX2
constexpr int tileRows = 6, tileVectors = 2;
#elif FEWBIT_ISA == FEWBIT_NEON
constexpr int tileRows = 8, tileVectors = 3;
#else
constexpr int tileRows = 4, tileVectors = 2;
#endif

}  // namespace
