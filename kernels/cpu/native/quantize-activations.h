// Activations as 16-bit integers under one float32 scale per chunk of inputs: their rounding error is about 2e-5 of their size.
#pragma once

#include "packed-codes.h"

namespace {

/** Rows of x in tiles of `tokens`, inputs in pairs: values [chunk][tile][pair][tokens], scales and sums [chunk][tile][tokens]. */
struct Activations {
  Index tokens, tiles;
  int32_t *values;
  float *scales;
  int32_t *sums;

  static size_t bytes(Index m, Index tokens, const Chunks &chunks) {
    return size_t(quotientUp(m, tokens) * tokens * chunks.count) * (chunks.length * 2 + 8);
  }
  Activations(char *memory, Index m, Index tokens, const Chunks &chunks) : tokens(tokens), tiles(quotientUp(m, tokens)) {
    const Index count = tiles * chunks.count * tokens;
    values = reinterpret_cast<int32_t *>(memory);
    scales = reinterpret_cast<float *>(values + count * chunks.length / 2);
    sums = reinterpret_cast<int32_t *>(scales + count);
  }
  /** Of a chunk and tile, in units of `tokens`. */
  Index at(Index chunk, Index tile) const { return (chunk * tiles + tile) * tokens; }
};

/** Rounds `count` values to `to`, zeros up to `length`; returns scale and sum. NaN and infinity make the scale NaN. */
inline void quantizeChunk(const float *from, Index count, Index length, int16_t *to, float &scale, int32_t &sumOf) {
  typedef int16_t Shorts __attribute__((vector_size(FEWBIT_VECTOR_BYTES / 2)));
  constexpr float rounder = 12582912;
  Floats most = {}, damaged = {};
  byVectors(count, [&](Index i, Index part) {
    const Floats value = loadUpTo(from + i, part);
    most = larger(fromBits(bits(value) & 0x7fffffff), most);
    damaged += value * 0.f;
  });
  const float top = largest(most);
  scale = top / 32767 + sum(damaged);
  const float inverse = top > 0 && top < __builtin_inff() ? 32767 / top : 0;
  Ints total = {};
  Index i = 0;
  for (; i < count; i += lanes) {
    const Floats value = loadUpTo(from + i, smallerOf(lanes, count - i));
    const Ints whole = bits(value * inverse + rounder) - 0x4b400000;
    total += whole;
    const Shorts narrow = __builtin_convertvector(whole, Shorts);
    __builtin_memcpy(to + i, &narrow, sizeof narrow);
  }
  for (; i < length; i++) to[i] = 0;
  sumOf = 0;
  for (int lane = 0; lane < lanes; lane++) sumOf += total[lane];
}

/** Sums are multiplied by `zero`, what they will be needed for. */
inline void quantizeTile(const float *x, Index m, Index tile, const Chunks &chunks, int32_t zero, const Activations &out) {
  int16_t whole[longestChunk + 64];
  const Index tokens = out.tokens, pairs = chunks.length / 2;
  for (Index t = 0; t < tokens; t++) {
    const Index row = tile * tokens + t;
    for (Index chunk = 0; chunk < chunks.count; chunk++) {
      const Index at = out.at(chunk, tile);
      const Index start = chunks.start(chunk);
      const Index count = row < m ? chunks.end(chunk) - start : 0;
      quantizeChunk(x + row * chunks.cols + start, count, chunks.length, whole, out.scales[at + t], out.sums[at + t]);
      out.sums[at + t] *= zero;
      int32_t *to = out.values + at * pairs + t;
      if (tokens == 1) memcpy(to, whole, chunks.length * 2);
      else
        for (Index p = 0; p < pairs; p++) memcpy(to + p * tokens, whole + 2 * p, 4);
    }
  }
}

}  // namespace
