// Tables of sixteen bytes in a register.
#pragma once

#include "vector.h"

#if FEWBIT_ISA == FEWBIT_NEON
#include <arm_neon.h>
#endif

namespace {

/** The table in each 16 bytes of a vector. */
inline Ints byteTable(const uint8_t *table) {
  Ints v;
  for (int at = 0; at < FEWBIT_VECTOR_BYTES; at += 16) __builtin_memcpy(reinterpret_cast<char *>(&v) + at, table, 16);
  return v;
}

/** table[place] of each byte, places below 16. */
inline Ints bytesNamed(Ints table, Ints places) {
#if FEWBIT_ISA == FEWBIT_AVX512
  return (Ints)_mm512_shuffle_epi8((__m512i)table, (__m512i)places);
#elif FEWBIT_ISA == FEWBIT_AVX2
  return (Ints)_mm256_shuffle_epi8((__m256i)table, (__m256i)places);
#elif FEWBIT_ISA == FEWBIT_NEON
  return (Ints)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)places);
#else
  uint8_t levels[16], at[16];
  __builtin_memcpy(levels, &table, 16);
  __builtin_memcpy(at, &places, 16);
  for (uint8_t &place : at) place = levels[place];
  __builtin_memcpy(&places, at, 16);
  return places;
#endif
}

}  // namespace
