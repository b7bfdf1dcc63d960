// Compiled once per instruction set: one table of kernels.
#include "kernels.h"

#include "algebra.h"
#include "attention.h"
#include "copy-rows.h"
#include "cross-entropy.h"
#include "elementwise.h"
#include "gram.h"
#include "matmul-levels.h"
#include "matmul-quantized.h"
#include "matmul.h"
#include "norm.h"
#include "page.h"
#include "pack-codes.h"
#include "rotate.h"
#include "round-activations.h"
#include "sample.h"
#include "short-floats.h"
#include "sparse.h"
#include "stream.h"

namespace fewbit {

#if FEWBIT_ISA == FEWBIT_AVX512
#define FEWBIT_TABLE avx512Kernels
#define FEWBIT_NAMES "avx512", "AVX-512"
#elif FEWBIT_ISA == FEWBIT_AVX2
#define FEWBIT_TABLE avx2Kernels
#define FEWBIT_NAMES "avx2", "AVX2 with fused multiply-add"
#elif FEWBIT_ISA == FEWBIT_NEON
#define FEWBIT_TABLE neonKernels
#define FEWBIT_NAMES "neon", "NEON"
#else
#define FEWBIT_TABLE portableKernels
#define FEWBIT_NAMES "portable", "portable C++"
#endif

const Kernels FEWBIT_TABLE = {
    FEWBIT_NAMES, ::matmul, ::matmulShort, ::shorten, ::widenRows, ::packedBytes, ::packCodes, ::unpackRows, ::matmulQuantized, ::addSparse, ::putEntries, ::levelsBytes, ::packLevels, ::unpackLevels, ::matmulLevels,    ::gram,   ::inverseCholesky, ::solve, ::subtractProduct, ::product, ::storePage, ::attention,    ::rmsNorm,
    ::layerNorm,  ::rotate,    ::add,    ::scale,           ::softcap, ::activate,      ::gated,   ::roundActivations, ::crossEntropy, ::sample, ::copyRows, ::permuteColumns,
    ::stream,
};

}  // namespace fewbit
