// Products of 8-bit integers, four and four added into 32 bits, without loss: of an unsigned code and a signed number, by the fastest that the
// instruction set has for it. Codes of more than `mostByteBits` bits it takes no faster than as numbers of 16 bits (sixteen-bits.h).
#pragma once

#include "pair-products.h"

#if (FEWBIT_ISA == FEWBIT_AVX512 && !defined(__AVX512VNNI__)) || (FEWBIT_ISA == FEWBIT_AVX2 && !defined(__AVXVNNI__))
#define FEWBIT_BYTES_BY_PAIRS 1
#endif

namespace {

#if FEWBIT_ISA == FEWBIT_NEON && defined(__ARM_FEATURE_DOTPROD)
#define FEWBIT_SIGNED_BYTES 1
#endif

#if FEWBIT_BYTES_BY_PAIRS
/** Sums of two products in each 16 bits, of a run. */
using QuadSums = Shorts;
/** Two products of a code below 16 and a number from −127 to 127 are below 3,810: eight times that stays in 16 bits. */
constexpr int mostByteBits = 4;
#elif FEWBIT_SIGNED_BYTES
using QuadSums = Ints;
/** Codes are signed there, too. */
constexpr int mostByteBits = 7;
#else
using QuadSums = Ints;
constexpr int mostByteBits = 8;
#endif
/** sum += the products of each lane's four codes and four numbers. */
inline void addQuads(QuadSums &sum, Ints codes, Ints numbers) {
#if defined(__AVX512VNNI__)
  sum = (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)codes, (__m512i)numbers);
#elif defined(__AVXVNNI__)
  sum = (Ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)codes, (__m256i)numbers);
#elif FEWBIT_BYTES_BY_PAIRS
#if FEWBIT_ISA == FEWBIT_AVX512
  sum += (Shorts)_mm512_maddubs_epi16((__m512i)codes, (__m512i)numbers);
#else
  sum += (Shorts)_mm256_maddubs_epi16((__m256i)codes, (__m256i)numbers);
#endif
  // GCC 12 would regroup a run's sums into a tree, for which there are not enough registers.
  asm("" : "+v"(sum));
#elif FEWBIT_SIGNED_BYTES
  sum = (Ints)vdotq_s32((int32x4_t)sum, (int8x16_t)codes, (int8x16_t)numbers);
#else
  constexpr int32_t low = 0x00ff00ff;
  sum += pairProducts(codes & low, (Ints)((Shorts)(numbers << 8) >> 8));
  sum += pairProducts((codes >> 8) & low, (Ints)((Shorts)numbers >> 8));
#endif
}

/** The sums in 32 bits. */
inline Ints wholeSums(QuadSums sum) {
#if FEWBIT_BYTES_BY_PAIRS
  return pairProducts((Ints)sum, allInts(0x00010001));
#else
  return sum;
#endif
}

}  // namespace
