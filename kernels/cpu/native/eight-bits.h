// Products of codes and 8-bit activations. Zero points join beside those of a chunk: Σ (code − zero)·x = Σ code·x − zero·Σ x.
#pragma once

#include "quad-products.h"
#include "quantize-activations.h"
#include "sixteen-bits.h"

namespace {

/** 8-bit activations as numbers of 16 bits. */
struct EightBitsAsPairs : SixteenBits {
  static constexpr float most = 127;
};

struct EightBits {
  using Number = int8_t;
  static constexpr float most = 127;

  /** Words that a row's codes of one chunk take when unpacked. */
  static Index unpackedWords(Index length) { return length / 4; }

  /** Σ code·x over one chunk for `tokens` tokens and `vectors` × lanes rows, whose codes lie blockRows apart. */
  template <class Codes, int tokens, int vectors>
  __attribute__((always_inline)) static inline void chunkDots(const Codes &read, const char *codes, const int32_t *x, Index length, Ints (&dots)[tokens][vectors]) {
#pragma GCC unroll 4
    for (int t = 0; t < tokens; t++) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) dots[t][v] = Ints{};
    }
    Index i = 0;
    for (; i + runInputs <= length; i += runInputs, codes += Codes::bits * blockRows * 4, x += quadsPerRun * tokens)
      addPackedRun<quadsPerRun>(read, codes, x, dots);
    if (i < length) addPackedRun<quadsPerRun / 2>(read, codes, x, dots);
  }

  /** The chunk's codes as bytes: [quad][blockRows]. */
  template <class Codes>
  static inline void unpackChunk(const Codes &read, const char *codes, Index length, const Ints (&)[2], int32_t *to) {
    Index i = 0;
    for (; i + runInputs <= length; i += runInputs, codes += Codes::bits * blockRows * 4, to += quadsPerRun * blockRows) unpackRun<quadsPerRun>(read, codes, to);
    if (i < length) unpackRun<quadsPerRun / 2>(read, codes, to);
  }

  /** sums [tileTokens][2] += Σ over chunks: scales·Σ weight·x + bases·Σ x. */
  template <Origin origin>
  __attribute__((noinline)) static void tileSlab(const Slab &slab, Index chunks, Index length, const TileOfTokens &x, Floats *sums) {
    const int32_t *weights = slab.weights;
    for (Index chunk = 0; chunk < chunks; chunk++) {
      const Index rows = chunk * blockRows, tokens = chunk * x.stride;
      const int32_t *numbers = x.values + tokens * (length / 4), *zeros = slab.zeros + rows, *tokenSums = x.sums + tokens;
      const auto finish = [&](const Ints(&dots)[tileTokens][2]) {
        scaleInto<origin>(sums, dots, slab.scales + rows, slab.bases + rows, x.scales + tokens, tokenSums);
      };
      Ints dots[tileTokens][2];
      if (length == runInputs) {
        // The usual group of 32: nothing leaves the registers.
        setToRun(weights, numbers, dots);
        weights += quadsPerRun * blockRows;
        addZeros<origin>(zeros, tokenSums, dots);
        finish(dots);
        continue;
      }
      memset(static_cast<void *>(dots), 0, sizeof dots);
      addZeros<origin>(zeros, tokenSums, dots);
      Index i = 0;
      for (; i + runInputs <= length; i += runInputs, numbers += quadsPerRun * tileTokens, weights += quadsPerRun * blockRows)
        addRun<quadsPerRun>(weights, numbers, dots);
      if (i < length) {
        addRun<quadsPerRun / 2>(weights, numbers, dots);
        weights += quadsPerRun / 2 * blockRows;
      }
      finish(dots);
    }
  }

 private:
  template <int quads, class Codes>
  static inline void unpackRun(const Codes &read, const char *codes, int32_t *to) {
#pragma GCC unroll 8
    for (int quad = 0; quad < quads; quad++)
#pragma GCC unroll 2
      for (int v = 0; v < 2; v++) storeInts(to + quad * blockRows + v * lanes, read.bytes(codes + v * FEWBIT_VECTOR_BYTES, quad));
  }

  /** dots += the products of `quads` quads of packed codes: half a run or a whole one. */
  template <int quads, class Codes, int tokens, int vectors>
  __attribute__((always_inline)) static inline void addPackedRun(const Codes &read, const char *codes, const int32_t *x, Ints (&dots)[tokens][vectors]) {
    QuadSums sums[tokens][vectors] = {};
    readAhead<vectorsOf(4 * quads, Codes::bits), vectors>(codes);
#pragma GCC unroll 8
    for (int quad = 0; quad < quads; quad++) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        const Ints bytes = read.bytes(codes + v * FEWBIT_VECTOR_BYTES, quad);
#pragma GCC unroll 4
        for (int t = 0; t < tokens; t++) addQuads(sums[t][v], bytes, allInts(x[quad * tokens + t]));
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < tokens; t++) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) dots[t][v] += wholeSums(sums[t][v]);
    }
  }

  template <int quads>
  static inline void sumRun(const int32_t *weights, const int32_t *numbers, QuadSums (&sums)[tileTokens][2]) {
#pragma GCC unroll 8
    for (int quad = 0; quad < quads; quad++, weights += blockRows, numbers += tileTokens) {
      const Ints a = loadInts(weights), b = loadInts(weights + lanes);
#pragma GCC unroll 12
      for (int t = 0; t < tileTokens; t++) {
        const Ints number = allInts(numbers[t]);
        addQuads(sums[t][0], a, number);
        addQuads(sums[t][1], b, number);
      }
    }
  }

  /** dots += the products of `quads` quads of unpacked codes. */
  template <int quads>
  static inline void addRun(const int32_t *weights, const int32_t *numbers, Ints (&dots)[tileTokens][2]) {
    QuadSums sums[tileTokens][2] = {};
    sumRun<quads>(weights, numbers, sums);
#pragma GCC unroll 12
    for (int t = 0; t < tileTokens; t++) {
      dots[t][0] += wholeSums(sums[t][0]);
      dots[t][1] += wholeSums(sums[t][1]);
    }
  }

  static inline void setToRun(const int32_t *weights, const int32_t *numbers, Ints (&dots)[tileTokens][2]) {
    QuadSums sums[tileTokens][2] = {};
    sumRun<quadsPerRun>(weights, numbers, sums);
#pragma GCC unroll 12
    for (int t = 0; t < tileTokens; t++) {
      dots[t][0] = wholeSums(sums[t][0]);
      dots[t][1] = wholeSums(sums[t][1]);
    }
  }

  /** dots += −zero·Σ x, where codes have zero points. */
  template <Origin origin>
  static inline void addZeros(const int32_t *zeros, const int32_t *tokenSums, Ints (&dots)[tileTokens][2]) {
    if constexpr (origin == Origin::bases) return;
#pragma GCC unroll 12
    for (int t = 0; t < tileTokens; t++) {
      const Ints sum = allInts(tokenSums[t]);
#pragma GCC unroll 2
      for (int v = 0; v < 2; v++) {
        // A sum of 128 numbers and a zero point fit 16 bits, and the upper half of a zero point is 0.
        if constexpr (origin == Origin::zeros) dots[t][v] += pairProducts(loadInts(zeros + v * lanes), sum);
        else dots[t][v] += sum;
      }
    }
  }
};

}  // namespace
