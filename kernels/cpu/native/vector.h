// Vectors as wide as a register, by the compiler's vector extension: +, −, *, / and comparisons work lane by lane, a·b + c fuses where the machine can.
// Everything here has internal linkage: code of one instruction set must never be merged with another's.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "instruction-set.h"
#include "pool.h"

namespace {

using fewbit::Index;
using fewbit::Pool;

typedef float Floats __attribute__((vector_size(FEWBIT_VECTOR_BYTES)));
typedef double Doubles __attribute__((vector_size(FEWBIT_VECTOR_BYTES)));
typedef int32_t Ints __attribute__((vector_size(FEWBIT_VECTOR_BYTES)));

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using type = Floats;
};
template <>
struct VectorOf<double> {
  using type = Doubles;
};
template <class T>
using Vector = typename VectorOf<T>::type;

template <class T>
constexpr int lanesOf = FEWBIT_VECTOR_BYTES / sizeof(T);
constexpr int lanes = lanesOf<float>;

template <class T>
inline Vector<T> load(const T *from) {
  Vector<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

/** The first `count` lanes, zeros after. */
template <class T>
inline Vector<T> loadPart(const T *from, Index count) {
  Vector<T> v = {};
  __builtin_memcpy(&v, from, count * sizeof(T));
  return v;
}

template <class T>
inline void store(T *to, Vector<T> v) {
  __builtin_memcpy(to, &v, sizeof v);
}

template <class T>
inline void storePart(T *to, Vector<T> v, Index count) {
  __builtin_memcpy(to, &v, count * sizeof(T));
}

template <class T>
inline Vector<T> all(T value) {
  return value - Vector<T>{};
}

inline Floats smaller(Floats a, Floats b) { return a < b ? a : b; }
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }

inline Ints bits(Floats v) {
  Ints i;
  __builtin_memcpy(&i, &v, sizeof i);
  return i;
}

inline Floats fromBits(Ints i) {
  Floats v;
  __builtin_memcpy(&v, &i, sizeof v);
  return v;
}

#if FEWBIT_ISA == FEWBIT_AVX512 || FEWBIT_ISA == FEWBIT_AVX2
/** of(a, b) of both halves, down to four lanes. */
template <class Of>
inline __m128 fourLanes(Floats v, Of of) {
#if FEWBIT_ISA == FEWBIT_AVX512
  const __m256 half = of(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
#else
  const __m256 half = (__m256)v;
#endif
  return of(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/** of(a, b) of both halves, down to one lane. */
template <class Of>
inline float oneLane(Floats v, Of of) {
  const __m128 four = fourLanes(v, of), two = of(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(of(two, _mm_shuffle_ps(two, two, 1)));
}
#else
template <class Of>
inline float oneLane(Floats v, Of of) {
  float part[lanes];
  store(part, v);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) part[i] = of(part[i], part[i + width]);
  return part[0];
}
#endif

/** of(a, b) across the lanes of each of four vectors. */
template <class Of>
inline void ofFour(const Floats (&v)[4], float *to, Of of) {
#if FEWBIT_ISA == FEWBIT_AVX512
  const __m512 a = (__m512)v[0], b = (__m512)v[1], c = (__m512)v[2], d = (__m512)v[3];
  const __m512 ab = of(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)), cd = of(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  _mm_storeu_ps(to, fourLanes((Floats)of(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee)), of));
#elif FEWBIT_ISA == FEWBIT_AVX2
  const __m256 a = (__m256)v[0], b = (__m256)v[1], c = (__m256)v[2], d = (__m256)v[3];
  const __m256 ab = of(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)), cd = of(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  _mm_storeu_ps(to, fourLanes((Floats)of(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee)), of));
#else
  for (int i = 0; i < 4; i++) to[i] = oneLane(v[i], of);
#endif
}

constexpr auto theirSum = [](auto a, auto b) { return a + b; };
constexpr auto theLarger = [](auto a, auto b) { return a > b ? a : b; };

inline float sum(Floats v) { return oneLane(v, theirSum); }
inline float largest(Floats v) { return oneLane(v, theLarger); }
inline void sumFour(const Floats (&v)[4], float *to) { ofFour(v, to, theirSum); }
inline void largestOfFour(const Floats (&v)[4], float *to) { ofFour(v, to, theLarger); }

inline Index smallerOf(Index a, Index b) { return a < b ? a : b; }
inline Index largerOf(Index a, Index b) { return a > b ? a : b; }
inline Index quotientUp(Index a, Index b) { return (a + b - 1) / b; }

/** Calls of(i, count) for i = 0, lanes, 2·lanes …: all of the same vector code, so that where a value lies in its row does not change its bits. */
template <class Of>
inline void byVectors(Index n, Of of) {
  Index i = 0;
  for (; i + lanes <= n; i += lanes) of(i, Index(lanes));
  if (i < n) of(i, n - i);
}

inline Floats loadUpTo(const float *from, Index count) { return count == lanes ? load(from) : loadPart(from, count); }

/** 16-bit numbers as 32-bit ones. */
inline Ints widened(const uint16_t *from) {
#if FEWBIT_ISA == FEWBIT_AVX512
  return (Ints)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
#elif FEWBIT_ISA == FEWBIT_AVX2
  return (Ints)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
#else
  typedef uint16_t Halves __attribute__((vector_size(FEWBIT_VECTOR_BYTES / 2)));
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof halves);
  return __builtin_convertvector(halves, Ints);
#endif
}

/** Bytes as 32-bit numbers. */
inline Ints bytesAt(const uint8_t *from) {
#if FEWBIT_ISA == FEWBIT_AVX512
  return (Ints)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
#elif FEWBIT_ISA == FEWBIT_AVX2
  return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(from)));
#else
  typedef uint8_t Bytes __attribute__((vector_size(FEWBIT_VECTOR_BYTES / 4)));
  Bytes bytes;
  __builtin_memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, Ints);
#endif
}

/** The same of signed bytes. */
inline Ints signedBytesAt(const int8_t *from) {
#if FEWBIT_ISA == FEWBIT_AVX512
  return (Ints)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
#elif FEWBIT_ISA == FEWBIT_AVX2
  return (Ints)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(from)));
#else
  typedef int8_t Bytes __attribute__((vector_size(FEWBIT_VECTOR_BYTES / 4)));
  Bytes bytes;
  __builtin_memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, Ints);
#endif
}

/** bf16 is the upper half of a float32. */
inline Floats load(const uint16_t *from) { return fromBits(widened(from) << 16); }

inline Floats loadUpTo(const uint16_t *from, Index count) {
  if (count == lanes) return load(from);
  uint16_t part[lanes] = {};
  __builtin_memcpy(part, from, count * 2);
  return load(part);
}

/** Zeros from lane `count` on. */
inline Floats firstLanes(Floats v, Index count) { return count == lanes ? v : loadPart(reinterpret_cast<const float *>(&v), count); }

inline void storeUpTo(float *to, Floats v, Index count) {
  if (count == lanes) store(to, v);
  else storePart(to, v, count);
}

/** Runs body(task, scratch) on the pool. */
template <class Run>
inline void parallel(Pool &pool, Index tasks, size_t scratchBytes, Run body) {
  pool.run(
      tasks, scratchBytes, [](void *context, Index task, char *scratch) { (*static_cast<Run *>(context))(task, scratch); }, &body);
}

}  // namespace
