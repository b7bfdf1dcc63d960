// Activations as integers of 16 or 8 bits under one float32 scale per chunk of inputs: their rounding errors are about 2e-5 and 5e-3 of their size.
#pragma once

#include <utility>

#include "packed-codes.h"

namespace {

/** Rows of x in tiles of `tokens`, inputs in words of 32 bits: values [chunk][tile][word][tokens], scales and sums [chunk][tile][tokens]. */
struct Activations {
  Index tokens, tiles;
  int32_t *values;
  float *scales;
  int32_t *sums;

  /** `words`: of a chunk of one token. */
  static size_t bytes(Index m, Index tokens, Index words, const Chunks &chunks) {
    return size_t(quotientUp(m, tokens) * tokens * chunks.count) * (words * 4 + 8);
  }
  Activations(char *memory, Index m, Index tokens, Index words, const Chunks &chunks) : tokens(tokens), tiles(quotientUp(m, tokens)) {
    const Index count = tiles * chunks.count * tokens;
    values = reinterpret_cast<int32_t *>(memory);
    scales = reinterpret_cast<float *>(values + count * words);
    sums = reinterpret_cast<int32_t *>(scales + count);
  }
  /** Of a chunk and tile, in units of `tokens`. */
  Index at(Index chunk, Index tile) const { return (chunk * tiles + tile) * tokens; }
};

/** Rounds `count` values to whole numbers up to `most`, zeros up to `length`; returns scale and sum. NaN and infinity make the scale NaN. */
template <class Number>
inline void quantizeChunk(const float *from, Index count, Index length, float most, Number *to, float &scale, int32_t &sumOf) {
  typedef Number Numbers __attribute__((vector_size(lanes * sizeof(Number))));
  constexpr float rounder = 12582912;
  Floats sizes = {}, damaged = {};
  byVectors(count, [&](Index i, Index part) {
    const Floats value = loadUpTo(from + i, part);
    sizes = larger(fromBits(bits(value) & 0x7fffffff), sizes);
    damaged += value * 0.f;
  });
  const float top = largest(sizes);
  // What is too small for 1 / top to be a number is as good as zero.
  const float inverse = top > 1e-30f && top < __builtin_inff() ? most / top : 0;
  scale = top / most + sum(damaged);
  Ints total = {};
  Index i = 0;
  for (; i < count; i += lanes) {
    const Floats value = loadUpTo(from + i, smallerOf(lanes, count - i));
    const Ints whole = bits(value * inverse + rounder) - 0x4b400000;
    total += whole;
    const Numbers narrow = __builtin_convertvector(whole, Numbers);
    __builtin_memcpy(to + i, &narrow, sizeof narrow);
  }
  for (; i < length; i++) to[i] = 0;
  sumOf = 0;
  for (int lane = 0; lane < lanes; lane++) sumOf += total[lane];
}

/** Numbers as the codes of their inputs lie: 16-bit ones in order, 8-bit ones as in the bytes of quads. */
inline void arrange(int16_t *, Index) {}
inline void arrange(int8_t *numbers, Index length) {
  for (Index i = 0; i < length; i += 4) std::swap(numbers[i + 1], numbers[i + 2]);
}

/** Sums are multiplied by −zero, what they will be needed for. */
template <class Precision>
inline void quantizeTile(const float *x, Index m, Index tile, const Chunks &chunks, int32_t zero, const Activations &out) {
  using Number = typename Precision::Number;
  Number whole[longestChunk + 64];
  const Index tokens = out.tokens, words = chunks.length * sizeof(Number) / 4;
  for (Index t = 0; t < tokens; t++) {
    const Index row = tile * tokens + t;
    for (Index chunk = 0; chunk < chunks.count; chunk++) {
      const Index at = out.at(chunk, tile);
      const Index start = chunks.start(chunk);
      const Index count = row < m ? chunks.end(chunk) - start : 0;
      quantizeChunk(x + row * chunks.cols + start, count, chunks.length, Precision::most, whole, out.scales[at + t], out.sums[at + t]);
      out.sums[at + t] *= -zero;
      arrange(whole, chunks.length);
      int32_t *to = out.values + at * words + t;
      if (tokens == 1) memcpy(to, whole, words * 4);
      else
        for (Index word = 0; word < words; word++) memcpy(to + word * tokens, reinterpret_cast<const char *>(whole) + 4 * word, 4);
    }
  }
}

}  // namespace
