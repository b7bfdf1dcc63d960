// Floats of 8 bits: E4M3 and E5M2.
#pragma once

#include "vector.h"

namespace {

#if FEWBIT_ISA == FEWBIT_AVX512
typedef __m256i Halves;
inline Halves halvesOfBytes(const uint8_t *from) { return _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from))), 8); }
inline Halves loadHalves(const uint8_t *from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)); }
inline Halves movedUp8(Halves words) { return _mm256_slli_epi16(words, 8); }
inline Halves movedDown1(Halves words) { return _mm256_srai_epi16(words, 1); }
inline Halves masked(Halves words, int mask) { return _mm256_and_si256(words, _mm256_set1_epi16(short(mask))); }
inline Floats widened(Halves halves) { return (Floats)_mm512_cvtph_ps(halves); }
#elif FEWBIT_ISA == FEWBIT_AVX2
typedef __m128i Halves;
inline Halves halvesOfBytes(const uint8_t *from) { return _mm_slli_epi16(_mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(from))), 8); }
inline Halves loadHalves(const uint8_t *from) { return _mm_loadu_si128(reinterpret_cast<const __m128i *>(from)); }
inline Halves movedUp8(Halves words) { return _mm_slli_epi16(words, 8); }
inline Halves movedDown1(Halves words) { return _mm_srai_epi16(words, 1); }
inline Halves masked(Halves words, int mask) { return _mm_and_si128(words, _mm_set1_epi16(short(mask))); }
inline Floats widened(Halves halves) { return (Floats)_mm256_cvtph_ps(halves); }
#else
/** Bytes as numbers, read as f16 in float32; then the bias by a multiplication, which makes subnormal numbers right as well. */
template <int shift>
inline Floats floatsOfBytes(Ints byte) {
  const Floats magnitude = fromBits((byte & 0x7f) << (13 + shift)) * 0x1p112f;
  return fromBits(bits(magnitude) | (byte & 0x80) << 24);
}
#endif

/** Floats of 8 bits read as f16, their 7 bits below the sign moved up by `shift`: E4M3 by 7, and times 2^−8; E5M2 by 8. */
template <int shift>
inline Floats smallFloats(const uint8_t *from) {
#if FEWBIT_ISA == FEWBIT_AVX512 || FEWBIT_ISA == FEWBIT_AVX2
  const Halves high = halvesOfBytes(from);
  return widened(shift == 8 ? high : masked(movedDown1(high), 0xbfff));
#else
  return floatsOfBytes<shift>(bytesAt(from));
#endif
}

/** The same of the lower (half 0) or the upper bytes of `lanes` words of 16 bits. */
template <int shift>
inline Floats smallFloatsOfWords(const uint8_t *from, int half) {
#if FEWBIT_ISA == FEWBIT_AVX512 || FEWBIT_ISA == FEWBIT_AVX2
  const Halves words = half == 0 ? movedUp8(loadHalves(from)) : loadHalves(from);
  return widened(shift == 8 ? masked(words, 0xff00) : masked(movedDown1(words), 0xbf80));
#else
  const Ints words = widened(reinterpret_cast<const uint16_t *>(from));
  return floatsOfBytes<shift>(half == 0 ? words & 0xff : words >> 8);
#endif
}

}  // namespace
