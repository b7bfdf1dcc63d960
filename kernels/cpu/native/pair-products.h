// Products of 16-bit integers, two and two added into 32 bits: what integer products are made of.
#pragma once

#include "vector.h"

#if FEWBIT_ISA == FEWBIT_NEON
#include <arm_neon.h>
#endif

namespace {

typedef int16_t Shorts __attribute__((vector_size(FEWBIT_VECTOR_BYTES)));

/** Each 32-bit lane of a and b holds two 16-bit numbers: a.low·b.low + a.high·b.high. */
inline Ints pairProducts(Ints a, Ints b) {
#if FEWBIT_ISA == FEWBIT_AVX512
  return (Ints)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif FEWBIT_ISA == FEWBIT_AVX2
  return (Ints)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Ints)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif FEWBIT_ISA == FEWBIT_NEON
  const int16x8_t left = (int16x8_t)a, right = (int16x8_t)b;
  return (Ints)vpaddq_s32(vmull_s16(vget_low_s16(left), vget_low_s16(right)), vmull_high_s16(left, right));
#else
  return ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

/** sum += pairProducts(a, b). */
inline void addPairs(Ints &sum, Ints a, Ints b) {
#if defined(__AVX512VNNI__)
  sum = (Ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVXVNNI__)
  sum = (Ints)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
#else
  sum += pairProducts(a, b);
#if FEWBIT_ISA == FEWBIT_AVX512 || FEWBIT_ISA == FEWBIT_AVX2
  // GCC 12 would regroup sums into a tree, for which there are not enough registers.
  asm("" : "+v"(sum));
#endif
#endif
}

inline Ints allInts(int32_t value) { return value - Ints{}; }

inline Ints loadInts(const void *from) {
  Ints v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

inline void storeInts(void *to, Ints v) { __builtin_memcpy(to, &v, sizeof v); }

}  // namespace
