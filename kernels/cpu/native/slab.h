// What products with many tokens work on: a slab of unpacked weights that stays in the first-level cache, against one register tile of tokens after the other.
#pragma once

#include "slots.h"

namespace {

/** Tokens of one register tile: tileTokens × 2 accumulators. */
constexpr int tileTokens = FEWBIT_VECTOR_BYTES == 64 ? 12 : 6;
/** How far weights are read ahead. */
constexpr Index packedAhead = 4096;

/** Reads the codes ahead that will be where those of some vectors of a run are now, for `vectors` × lanes rows. */
template <int words, int vectors>
inline void readAhead(const char *run) {
#pragma GCC unroll 8
  for (int word = 0; word < words; word++)
    for (int at = 0; at < vectors * FEWBIT_VECTOR_BYTES; at += 64) __builtin_prefetch(run + word * blockRows * 4 + packedAhead + at);
}

/** One block of rows over some chunks: weights unpacked as the precision wants them; scales, and zero points or bases, [chunk][blockRows]. */
struct Slab {
  int32_t *weights;
  float *scales;
  int32_t *zeros;
  float *bases;
};

/** A tile of activations; from one chunk to the next in units of a chunk's tile. */
struct TileOfTokens {
  const int32_t *values;
  const float *scales;
  const int32_t *sums;
  Index stride;
};

/** sums += dots·scales of rows and tokens, and bases of rows times tokenSums. */
template <Origin origin>
inline void scaleInto(Floats *sums, const Ints (&dots)[tileTokens][2], const float *scales, const float *bases, const float *tokenScales,
                      const int32_t *tokenSums) {
  const Floats low = load(scales), high = load(scales + lanes);
  Floats lowBases{}, highBases{};
  if constexpr (origin == Origin::bases) lowBases = load(bases), highBases = load(bases + lanes);
#pragma GCC unroll 12
  for (int t = 0; t < tileTokens; t++) {
    if constexpr (origin == Origin::bases) {
      const Floats sum = fromBits(allInts(tokenSums[t]));
      sums[2 * t] += lowBases * sum;
      sums[2 * t + 1] += highBases * sum;
    }
    sums[2 * t] += __builtin_convertvector(dots[t][0], Floats) * (low * tokenScales[t]);
    sums[2 * t + 1] += __builtin_convertvector(dots[t][1], Floats) * (high * tokenScales[t]);
  }
}

}  // namespace
