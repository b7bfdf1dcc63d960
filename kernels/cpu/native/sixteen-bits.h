// Products of codes and 16-bit activations.
#pragma once

#include "quantize-activations.h"
#include "slab.h"

namespace {

struct SixteenBits {
  using Number = int16_t;
  static constexpr float most = 32767;

  /** Words that a row's codes of one chunk take when unpacked. */
  static Index unpackedWords(Index length) { return length / 2; }

  /** Σ code·x over one chunk for `tokens` tokens and `vectors` × lanes rows, whose codes lie blockRows apart. */
  template <class Codes, int tokens, int vectors>
  __attribute__((always_inline)) static inline void chunkDots(const Codes &read, const char *codes, const int32_t *x, Index length, Ints (&dots)[tokens][vectors]) {
    // Codes that are whole are masked where they stand, so that products come out 2^bits … times too large: each slot has a sum of its own.
    Ints sums[Codes::sums][tokens][vectors] = {};
    Index i = 0;
    for (; i + runInputs <= length; i += runInputs, codes += Codes::bits * blockRows * 4, x += 2 * quadsPerRun * tokens)
      addRun<quadsPerRun>(read, codes, x, sums);
    if (i < length) addRun<quadsPerRun / 2>(read, codes, x, sums);
#pragma GCC unroll 4
    for (int t = 0; t < tokens; t++) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        dots[t][v] = sums[0][t][v];
#pragma GCC unroll 4
        for (int sum = 1; sum < Codes::sums; sum++) dots[t][v] += sums[sum][t][v] >> Codes::shiftOf(sum);
      }
    }
  }

  /** The chunk's codes less their zero points, as pairs of 16 bits: [pair][blockRows]. */
  template <class Codes>
  static inline void unpackChunk(const Codes &read, const char *codes, Index length, const Ints (&zeros)[2], int32_t *to) {
    Index i = 0;
    for (; i + runInputs <= length; i += runInputs, codes += Codes::bits * blockRows * 4, to += 2 * quadsPerRun * blockRows)
      unpackRun<quadsPerRun>(read, codes, zeros, to);
    if (i < length) unpackRun<quadsPerRun / 2>(read, codes, zeros, to);
  }

  /** sums [tileTokens][2] += Σ over chunks: scales·Σ weight·x + bases·Σ x. */
  template <Origin origin>
  __attribute__((noinline)) static void tileSlab(const Slab &slab, Index chunks, Index length, const TileOfTokens &x, Floats *sums) {
    const int32_t *weights = slab.weights;
    const Index pairs = length / 2;
    for (Index chunk = 0; chunk < chunks; chunk++) {
      const Index rows = chunk * blockRows, tokens = chunk * x.stride;
      Ints dots[tileTokens][2] = {};
      const int32_t *value = x.values + tokens * pairs;
      for (Index p = 0; p < pairs; p++, weights += blockRows, value += tileTokens) {
        const Ints a = loadInts(weights), b = loadInts(weights + lanes);
#pragma GCC unroll 12
        for (int t = 0; t < tileTokens; t++) {
          addPairs(dots[t][0], a, allInts(value[t]));
          addPairs(dots[t][1], b, allInts(value[t]));
        }
      }
      scaleInto<origin>(sums, dots, slab.scales + rows, slab.bases + rows, x.scales + tokens, x.sums + tokens);
    }
  }

 private:
  /** sums += the products of `quads` quads: half a run or a whole one. */
  template <int quads, class Codes, int tokens, int vectors>
  __attribute__((always_inline)) static inline void addRun(const Codes &read, const char *codes, const int32_t *x, Ints (&sums)[Codes::sums][tokens][vectors]) {
    readAhead<vectorsOf(4 * quads, Codes::bits), vectors>(codes);
#pragma GCC unroll 8
    for (int quad = 0; quad < quads; quad++) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
          const Ints pair = read.pair(codes + v * FEWBIT_VECTOR_BYTES, quad, half);
#pragma GCC unroll 4
          for (int t = 0; t < tokens; t++) addPairs(sums[Codes::sumOf(quad)][t][v], pair, allInts(x[(2 * quad + half) * tokens + t]));
        }
      }
    }
  }

  template <int quads, class Codes>
  static inline void unpackRun(const Codes &read, const char *codes, const Ints (&zeros)[2], int32_t *to) {
#pragma GCC unroll 8
    for (int quad = 0; quad < quads; quad++)
#pragma GCC unroll 2
      for (int v = 0; v < 2; v++) {
        const Ints zero = zeros[v] | (zeros[v] << 16);
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
          const Ints pair = read.pair(codes + v * FEWBIT_VECTOR_BYTES, quad, half) >> Codes::shiftOf(Codes::sumOf(quad));
          storeInts(to + (2 * quad + half) * blockRows + v * lanes, (Ints)((Shorts)pair - (Shorts)zero));
        }
      }
  }
};

}  // namespace
