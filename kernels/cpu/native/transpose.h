// Small squares turned in registers of 16 bytes, which every machine has: 4 × 4 floats or 2 × 2 doubles.
#pragma once

#include "vector.h"

namespace {

typedef float FourFloats __attribute__((vector_size(16)));
typedef double TwoDoubles __attribute__((vector_size(16)));

#if defined(__clang__) || __GNUC__ >= 12
#define FEWBIT_SHUFFLE(a, b, type, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define FEWBIT_SHUFFLE(a, b, type, ...) __builtin_shuffle(a, b, type{__VA_ARGS__})
#endif

template <class T>
constexpr int squareSide = 16 / sizeof(T);

template <class V, class T>
inline V loadAs(const T *from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

/** to[j·toStride + i] = from[i·fromStride + j] for i, j < squareSide. */
inline void transposeSquare(const float *from, Index fromStride, float *to, Index toStride) {
  typedef int32_t Order __attribute__((vector_size(16), unused));
  const auto a = loadAs<FourFloats>(from), b = loadAs<FourFloats>(from + fromStride);
  const auto c = loadAs<FourFloats>(from + 2 * fromStride), d = loadAs<FourFloats>(from + 3 * fromStride);
  const FourFloats ac = FEWBIT_SHUFFLE(a, c, Order, 0, 4, 1, 5), bd = FEWBIT_SHUFFLE(b, d, Order, 0, 4, 1, 5);
  const FourFloats acHigh = FEWBIT_SHUFFLE(a, c, Order, 2, 6, 3, 7), bdHigh = FEWBIT_SHUFFLE(b, d, Order, 2, 6, 3, 7);
  const FourFloats columns[4] = {FEWBIT_SHUFFLE(ac, bd, Order, 0, 4, 1, 5), FEWBIT_SHUFFLE(ac, bd, Order, 2, 6, 3, 7),
                                 FEWBIT_SHUFFLE(acHigh, bdHigh, Order, 0, 4, 1, 5), FEWBIT_SHUFFLE(acHigh, bdHigh, Order, 2, 6, 3, 7)};
  for (int j = 0; j < 4; j++) __builtin_memcpy(to + j * toStride, &columns[j], 16);
}

inline void transposeSquare(const double *from, Index fromStride, double *to, Index toStride) {
  typedef int64_t Order __attribute__((vector_size(16), unused));
  const auto a = loadAs<TwoDoubles>(from), b = loadAs<TwoDoubles>(from + fromStride);
  const TwoDoubles columns[2] = {FEWBIT_SHUFFLE(a, b, Order, 0, 2), FEWBIT_SHUFFLE(a, b, Order, 1, 3)};
  for (int j = 0; j < 2; j++) __builtin_memcpy(to + j * toStride, &columns[j], 16);
}

}  // namespace
