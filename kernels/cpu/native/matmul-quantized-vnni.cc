// Products by codes once more, for processors of the AVX-512 set that add products of bytes in one instruction.
#include "matmul-quantized.h"

namespace fewbit {

void matmulQuantizedVnni(Pool &pool, const float *x, const QuantizedProduct *products, Index count, Index m) {
  ::matmulQuantized(pool, x, products, count, m);
}

}  // namespace fewbit
