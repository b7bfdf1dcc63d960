// Activations as integers of 16 or 8 bits under one float32 scale per chunk of inputs: their rounding errors are about 2e-5 and 5e-3 of their size.
#pragma once

#include <type_traits>

#include "packed-codes.h"
#include "transpose.h"

namespace {

/** Rows of x in tiles of `tokens`, inputs in words of 32 bits: values [chunk][tile][word][tokens], scales and what `sumWord` makes of sums [chunk][tile][tokens]. */
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

/** Chunks that are rounded together, so that what goes across lanes is done for four at once: of one token alone they follow each other, of more they are of different tokens. */
constexpr int piecesTogether = 4;

/** Numbers as the codes of their inputs lie: 16-bit ones in order, 8-bit ones as in the bytes of quads. */
typedef int8_t SomeBytes __attribute__((vector_size(lanes)));
typedef int16_t SomePairs __attribute__((vector_size(lanes * 2)));
inline SomePairs arranged(SomePairs numbers) { return numbers; }
inline SomeBytes arranged(SomeBytes numbers) {
  typedef int32_t Quads __attribute__((vector_size(lanes)));
  const Quads quads = (Quads)numbers;
  return (SomeBytes)((quads & int32_t(0xff0000ff)) | ((quads & 0xff00) << 8) | ((quads >> 8) & 0xff00));
}

/** Rounds `counts` values from `from` on to whole numbers up to `most`, zeros up to `length`. NaN and infinity make a chunk's scale NaN. */
template <class Number>
inline void quantizeChunks(const float *const (&from)[piecesTogether], const Index (&counts)[piecesTogether], Index length, float most,
                           Number *const (&to)[piecesTogether], float *scales, float *sums) {
  typedef std::conditional_t<sizeof(Number) == 1, SomeBytes, SomePairs> Numbers;
  constexpr float rounder = 12582912;
  Floats sizes[piecesTogether] = {}, totals[piecesTogether] = {};
#pragma GCC unroll 4
  for (int c = 0; c < piecesTogether; c++)
    byVectors(counts[c], [&](Index i, Index part) { sizes[c] = larger(fromBits(bits(loadUpTo(from[c] + i, part)) & 0x7fffffff), sizes[c]); });
  float tops[piecesTogether];
  largestOfFour(sizes, tops);
#pragma GCC unroll 4
  for (int c = 0; c < piecesTogether; c++) {
    // What is too small for 1 / top to be a number is as good as zero.
    const float inverse = tops[c] > 1e-30f && tops[c] < __builtin_inff() ? most / tops[c] : 0;
    byVectors(counts[c], [&](Index i, Index part) {
      const Floats shifted = loadUpTo(from[c] + i, part) * inverse + rounder;
      const Numbers numbers = arranged(__builtin_convertvector(bits(shifted) - 0x4b400000, Numbers));
      // Whole numbers whose sums float32 holds; NaN where a value is not finite.
      totals[c] += shifted - rounder;
      __builtin_memcpy(to[c] + i, &numbers, sizeof numbers);
    });
    for (Index i = quotientUp(counts[c], lanes) * lanes; i < length; i++) to[c][i] = 0;
  }
  sumFour(totals, sums);
  for (int c = 0; c < piecesTogether; c++) scales[c] = tops[c] / most + (sums[c] - sums[c]);
}

/** A chunk's sum as products need it: times −zero; beside bases times the scale, the bits of a float32. */
inline int32_t sumWord(const QuantizedShape &shape, float sum, float scale) {
  if (shape.origin == Origin::bases) {
    const float scaled = sum * scale;
    int32_t word;
    memcpy(&word, &scaled, 4);
    return word;
  }
  // Where it is no number the scale is none either.
  return sum == sum ? int32_t(sum) * -(shape.origin == Origin::zeros ? 1 : shape.zero) : 0;
}

template <class Precision>
inline void quantizeTile(const float *x, Index m, Index tile, const Chunks &chunks, const QuantizedShape &shape, const Activations &out) {
  using Number = typename Precision::Number;
  alignas(64) Number rounded[piecesTogether][longestChunk];
  const Index tokens = out.tokens, words = chunks.length * sizeof(Number) / 4;
  const bool alone = tokens == 1;
  const auto put = [&](Index chunk, Index token) {
    const Index pieces = smallerOf(piecesTogether, alone ? chunks.count - chunk : tokens - token);
    const float *from[piecesTogether];
    Index counts[piecesTogether];
    Number *to[piecesTogether];
    for (Index p = 0; p < piecesTogether; p++) {
      const Index c = alone ? chunk + p : chunk, row = tile * tokens + (alone ? 0 : token + p);
      const bool isThere = p < pieces && row < m;
      from[p] = x + row * chunks.cols + chunks.start(c);
      counts[p] = isThere ? chunks.end(c) - chunks.start(c) : 0;
      to[p] = alone && isThere ? reinterpret_cast<Number *>(out.values + out.at(c, tile) * words) : rounded[p];
    }
    float scales[piecesTogether], sums[piecesTogether];
    quantizeChunks<Number>(from, counts, chunks.length, Precision::most, to, scales, sums);
    for (Index p = 0; p < pieces; p++) {
      const Index at = alone ? out.at(chunk + p, tile) : out.at(chunk, tile) + token + p;
      out.scales[at] = scales[p];
      out.sums[at] = sumWord(shape, sums[p], scales[p]);
    }
    if (alone) return;
    int32_t *place = out.values + out.at(chunk, tile) * words + token;
    const float *numbers = reinterpret_cast<const float *>(rounded);
    constexpr Index stride = longestChunk * sizeof(Number) / 4;
    if (pieces == piecesTogether)
      for (Index word = 0; word < words; word += squareSide<float>)
        transposeSquare(numbers + word, stride, reinterpret_cast<float *>(place + word * tokens), tokens);
    else
      for (Index word = 0; word < words; word++)
        for (Index p = 0; p < pieces; p++) memcpy(place + word * tokens + p, rounded[p] + word * (4 / sizeof(Number)), 4);
  };
  if (alone)
    for (Index chunk = 0; chunk < chunks.count; chunk += piecesTogether) put(chunk, 0);
  else
    for (Index token = 0; token < tokens; token += piecesTogether)
      for (Index chunk = 0; chunk < chunks.count; chunk++) put(chunk, token);
}

}  // namespace
