// Products of codes and 16-bit activations.
#pragma once

#include "quantize-activations.h"
#include "slab.h"

namespace {

struct SixteenBits {
  using Number = int16_t;
  static constexpr float most = 32767;

  /** Words that a row's codes of one chunk take when unpacked. */
  template <int slot>
  static Index unpackedWords(Index length) {
    return length / 2;
  }

  /** Σ code·x over one chunk for `tokens` tokens and `vectors` × lanes rows, whose codes lie blockRows apart. */
  template <int slot, int tokens, int vectors>
  static inline void chunkDots(const char *codes, const int32_t *x, Index length, Ints (&dots)[tokens][vectors]) {
    // Slots are masked where they stand, so that products come out 2^slot, 2^2slot … times too large: each kind has a sum of its own.
    constexpr int kinds = 8 / slot;
    constexpr int32_t mask = ((1 << slot) - 1) * 0x10001;
    Ints sums[kinds][tokens][vectors] = {};
    for (Index i = 0; i < length; i += 32 / slot, codes += blockRows * 4, x += 16 / slot * tokens) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        readAhead(codes, v);
        const Ints low = loadInts(codes + v * FEWBIT_VECTOR_BYTES), high = low >> 8;
#pragma GCC unroll 4
        for (int kind = 0; kind < kinds; kind++) {
          const Ints a = low & (mask << kind * slot), b = high & (mask << kind * slot);
#pragma GCC unroll 4
          for (int t = 0; t < tokens; t++) {
            addPairs(sums[kind][t][v], a, allInts(x[kind * tokens + t]));
            addPairs(sums[kind][t][v], b, allInts(x[(kinds + kind) * tokens + t]));
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < tokens; t++) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        dots[t][v] = sums[0][t][v];
#pragma GCC unroll 4
        for (int kind = 1; kind < kinds; kind++) dots[t][v] += sums[kind][t][v] >> kind * slot;
      }
    }
  }

  /** The chunk's codes less their zero points, as pairs of 16 bits: [pair][blockRows]. */
  template <int slot>
  static inline void unpackChunk(const char *codes, Index length, const Ints (&zeros)[2], int32_t *to) {
    constexpr int kinds = 8 / slot;
    constexpr int32_t mask = ((1 << slot) - 1) * 0x10001;
    for (Index i = 0; i < length; i += 32 / slot, codes += blockRows * 4, to += 16 / slot * blockRows) {
      for (int v = 0; v < 2; v++) {
        const Ints word = loadInts(codes + v * FEWBIT_VECTOR_BYTES), zero = zeros[v] | (zeros[v] << 16);
        for (int part = 0; part < 2 * kinds; part++) {
          const Ints pair = (word >> (part / kinds * 8 + part % kinds * slot)) & mask;
          storeInts(to + part * blockRows + v * lanes, (Ints)((Shorts)pair - (Shorts)zero));
        }
      }
    }
  }

  /** sums [tileTokens][2] += Σ over chunks: scales·Σ weight·x. */
  template <int slot, bool ownZeros>
  __attribute__((noinline)) static void tileSlab(const Slab &slab, Index chunks, Index length, const TileOfTokens &x, Floats *sums) {
    const int32_t *weights = slab.weights;
    const float *scales = slab.scales, *tokenScales = x.scales;
    const Index pairs = length / 2;
    for (Index chunk = 0; chunk < chunks; chunk++, scales += blockRows, tokenScales += x.stride) {
      Ints dots[tileTokens][2] = {};
      const int32_t *value = x.values + chunk * x.stride * pairs;
      for (Index p = 0; p < pairs; p++, weights += blockRows, value += tileTokens) {
        const Ints a = loadInts(weights), b = loadInts(weights + lanes);
#pragma GCC unroll 12
        for (int t = 0; t < tileTokens; t++) {
          addPairs(dots[t][0], a, allInts(value[t]));
          addPairs(dots[t][1], b, allInts(value[t]));
        }
      }
      scaleInto(sums, dots, scales, tokenScales);
    }
  }
};

}  // namespace
