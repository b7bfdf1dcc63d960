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

/** Neighbours first. */
inline float sum(Floats v) {
  float part[lanes];
  store(part, v);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) part[i] += part[i + width];
  return part[0];
}

inline float largest(Floats v) {
  float most = v[0];
  for (int i = 1; i < lanes; i++) most = v[i] > most ? v[i] : most;
  return most;
}

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
