// Products by codes once more, for processors of the AVX-512 set that add products of bytes in one instruction.
#include "matmul-quantized.h"

namespace fewbit {

void matmulQuantizedVnni(Pool &pool, const float *x, const char *packed, const QuantizedShape &shape, const float *bias, float *out, Index m) {
  ::matmulQuantized(pool, x, packed, shape, bias, out, m);
}

}  // namespace fewbit
