// What products with many tokens work on: a slab of unpacked weights that stays in the first-level cache, against one register tile of tokens after the other.
#pragma once

#include "packed-codes.h"

namespace {

/** Tokens of one register tile: tileTokens × 2 accumulators. */
constexpr int tileTokens = FEWBIT_VECTOR_BYTES == 64 ? 12 : 6;
/** How far weights are read ahead. */
constexpr Index packedAhead = 4096;

/** One block of rows over some chunks: weights unpacked as the precision wants them, scales and zero points [chunk][blockRows]. */
struct Slab {
  int32_t *weights;
  float *scales;
  int32_t *zeros;
};

/** A tile of activations; from one chunk to the next in units of a chunk's tile. */
struct TileOfTokens {
  const int32_t *values;
  const float *scales;
  const int32_t *sums;
  Index stride;
};

inline void readAhead(const char *codes, int vector) {
  if (vector * FEWBIT_VECTOR_BYTES % 64 == 0) __builtin_prefetch(codes + packedAhead + vector * FEWBIT_VECTOR_BYTES);
}

/** sums += dots·scales of rows and tokens. */
inline void scaleInto(Floats *sums, const Ints (&dots)[tileTokens][2], const float *scales, const float *tokenScales) {
  const Floats low = load(scales), high = load(scales + lanes);
#pragma GCC unroll 12
  for (int t = 0; t < tileTokens; t++) {
    sums[2 * t] += __builtin_convertvector(dots[t][0], Floats) * (low * tokenScales[t]);
    sums[2 * t + 1] += __builtin_convertvector(dots[t][1], Floats) * (high * tokenScales[t]);
  }
}

}  // namespace
