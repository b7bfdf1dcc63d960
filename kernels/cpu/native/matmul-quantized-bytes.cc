// Products by codes once more, for processors that add products of bytes in one instruction: those of the AVX-512 set, of AVX2, and of NEON.
#include "matmul-quantized.h"

namespace fewbit {

#if FEWBIT_ISA == FEWBIT_AVX512
#define FEWBIT_PRODUCTS matmulQuantizedAvx512Vnni
#elif FEWBIT_ISA == FEWBIT_AVX2
#define FEWBIT_PRODUCTS matmulQuantizedAvx2Vnni
#else
#define FEWBIT_PRODUCTS matmulQuantizedNeonDot
#endif

void FEWBIT_PRODUCTS(Pool &pool, const float *x, const QuantizedProduct *products, Index count, Index m) {
  ::matmulQuantized(pool, x, products, count, m);
}

}  // namespace fewbit
