// A quantized weight as the kernels read it: one stream, front to back. Rows go in blocks of 2 × lanes, inputs in chunks that lie in one group.
//
//   block of rows → chunk → [ codes | scales of the block's rows | zero points of the block's rows, where they differ ]
//
// Codes take a slot of 2, 4 or 8 bits. A vector of codes holds, in each 32-bit lane, one row: its low half the even inputs and its high half the odd ones,
// first input in the lowest slots of each byte, after it those of the second byte:
//
//   4-bit slots, 8 inputs:  bits 28‥31 7 | 24‥27 5 | 20‥23 3 | 16‥19 1 | 12‥15 6 | 8‥11 4 | 4‥7 2 | 0‥3 0
#pragma once

#include "kernels.h"
#include "pair-products.h"

namespace {

using fewbit::QuantizedShape;
using fewbit::ScaleType;

constexpr int blockRows = 2 * lanes;
/** Most inputs of a chunk: sums of products of 8-bit codes and 16-bit activations, four times over in one lane, stay in 32 bits. */
constexpr Index longestChunk = 128;

/** How the inputs of a matrix are cut. */
struct Chunks {
  Index cols, group, perGroup, count;
  /** Inputs per chunk with its padding, a multiple of 16; codes and activations of the padding are 0. */
  Index length;

  Chunks(Index cols, Index group)
      : cols(cols),
        group(group),
        perGroup(quotientUp(group, longestChunk)),
        count(cols / group * perGroup + quotientUp(cols % group, longestChunk)),
        length(quotientUp(smallerOf(group, longestChunk), 16) * 16) {}
  Index start(Index chunk) const { return chunk / perGroup * group + chunk % perGroup * longestChunk; }
  Index end(Index chunk) const {
    const Index groupEnd = smallerOf((chunk / perGroup + 1) * group, cols);
    return smallerOf(start(chunk) + longestChunk, groupEnd);
  }
};

constexpr Index bytesOf(ScaleType type) { return type == ScaleType::f32 ? 4 : 2; }

/** Bytes of the parts of one chunk of one block. */
struct ChunkBytes {
  Index codes, scales, all;

  ChunkBytes(const QuantizedShape &shape, const Chunks &chunks)
      : codes(blockRows * chunks.length * shape.slot / 8),
        scales(blockRows * bytesOf(shape.scaleType)),
        all(codes + scales + (shape.ownZeros ? blockRows : 0)) {}
};

Index packedBytes(const QuantizedShape &shape) {
  const Chunks chunks(shape.cols, shape.group);
  return quotientUp(shape.rows, blockRows) * chunks.count * ChunkBytes(shape, chunks).all;
}

/** Where input `i` of a row goes: which vector of the chunk, and which bit of the row's lane. */
inline void placeOf(Index i, int slot, Index &vector, int &bit) {
  const int perLane = 32 / slot, perByte = 8 / slot;
  const int place = int(i % perLane), pair = place / 2;
  vector = i / perLane;
  bit = (place % 2) * 16 + pair / perByte * 8 + pair % perByte * slot;
}

inline uint32_t bitsOf(float value) {
  uint32_t word;
  memcpy(&word, &value, 4);
  return word;
}

/** The f16 of a float32 that f16 holds exactly. */
inline uint16_t halfOf(uint32_t word) {
  const uint32_t sign = word >> 16 & 0x8000, exponent = word >> 23 & 0xff, fraction = word & 0x7fffff;
  if (exponent > 112) return uint16_t(sign | (exponent - 112) << 10 | fraction >> 13);
  // Subnormal: the leading one is written out. (Below 2^-24 only zero is exact.)
  return exponent < 102 ? uint16_t(sign) : uint16_t(sign | (fraction | 0x800000) >> (126 - exponent));
}

inline float scaleAt(const char *scales, Index row, ScaleType type) {
  if (type == ScaleType::f32) return reinterpret_cast<const float *>(scales)[row];
  const uint32_t half = reinterpret_cast<const uint16_t *>(scales)[row];
  const uint32_t word = type == ScaleType::bf16 ? half << 16 : (half & 0x7fff) << 13;
  float value;
  memcpy(&value, &word, 4);
  // f16: exponent and fraction in place, then the bias by a multiplication, which makes subnormal numbers right as well.
  if (type == ScaleType::f16) value *= half & 0x8000 ? -5.192296858534828e33f : 5.192296858534828e33f;
  return value;
}

/** codes [rows, cols], one scale (float32) and zero point per tile → `packed`. Tiles are tileRows × shape.group, `across` of them side by side. */
void packCodes(Pool &pool, const uint8_t *codes, const float *scales, const uint8_t *zeros, Index tileRows, const QuantizedShape &shape,
               char *packed) {
  const Chunks chunks(shape.cols, shape.group);
  const ChunkBytes bytes(shape, chunks);
  const Index across = quotientUp(shape.cols, shape.group);
  parallel(pool, quotientUp(shape.rows, blockRows), 0, [&](Index block, char *) {
    char *at = packed + block * chunks.count * bytes.all;
    memset(at, 0, chunks.count * bytes.all);
    for (Index chunk = 0; chunk < chunks.count; chunk++, at += bytes.all) {
      const Index start = chunks.start(chunk), count = chunks.end(chunk) - start;
      for (Index r = 0; r < smallerOf(blockRows, shape.rows - block * blockRows); r++) {
        const Index row = block * blockRows + r;
        const uint8_t *from = codes + row * shape.cols + start;
        for (Index i = 0; i < count; i++) {
          Index vector;
          int bit;
          placeOf(i, shape.slot, vector, bit);
          const Index lane = vector * blockRows + r;
          at[lane * 4 + bit / 8] |= char(from[i] << bit % 8);
        }
        const Index tile = row / tileRows * across + chunk / chunks.perGroup;
        const uint32_t scale = bitsOf(scales[tile]);
        if (shape.scaleType == ScaleType::f32) memcpy(at + bytes.codes + r * 4, &scale, 4);
        else {
          const uint16_t half = shape.scaleType == ScaleType::bf16 ? uint16_t(scale >> 16) : halfOf(scale);
          memcpy(at + bytes.codes + r * 2, &half, 2);
        }
        if (shape.ownZeros) at[bytes.codes + bytes.scales + r] = char(zeros[tile]);
      }
    }
  });
}

/** Rows `indices` of a packed weight, decoded → out [count, cols]. */
void unpackRows(Pool &pool, const char *packed, const QuantizedShape &shape, const uint32_t *indices, Index count, float *out) {
  const Chunks chunks(shape.cols, shape.group);
  const ChunkBytes bytes(shape, chunks);
  const int mask = (1 << shape.slot) - 1;
  parallel(pool, count, 0, [&](Index at, char *) {
    const Index row = indices[at], r = row % blockRows;
    const char *chunk = packed + row / blockRows * chunks.count * bytes.all;
    for (Index c = 0; c < chunks.count; c++, chunk += bytes.all) {
      const float scale = scaleAt(chunk + bytes.codes, r, shape.scaleType);
      const int zero = shape.ownZeros ? uint8_t(chunk[bytes.codes + bytes.scales + r]) : shape.zero;
      float *to = out + at * shape.cols + chunks.start(c);
      for (Index i = 0; i < chunks.end(c) - chunks.start(c); i++) {
        Index vector;
        int bit;
        placeOf(i, shape.slot, vector, bit);
        const int code = uint8_t(chunk[(vector * blockRows + r) * 4 + bit / 8]) >> bit % 8 & mask;
        to[i] = float(code - zero) * scale;
      }
    }
  });
}

/** Scales of `lanes` rows. */
template <ScaleType type>
inline Floats loadScales(const char *from) {
  if constexpr (type == ScaleType::f32) return load(reinterpret_cast<const float *>(from));
#if FEWBIT_ISA == FEWBIT_AVX512
  if constexpr (type == ScaleType::f16) return (Floats)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
#elif FEWBIT_ISA == FEWBIT_AVX2
  if constexpr (type == ScaleType::f16) return (Floats)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
#endif
  const Ints wide = widened(reinterpret_cast<const uint16_t *>(from));
  if constexpr (type == ScaleType::bf16) return fromBits(wide << 16);
  // f16: exponent and fraction in place, then the bias by a multiplication, which makes subnormal numbers right as well.
  return fromBits(bits(fromBits((wide & 0x7fff) << 13) * 5.192296858534828e33f) | ((wide & 0x8000) << 16));
}

inline Ints loadZeros(const char *from) {
  typedef uint8_t Bytes __attribute__((vector_size(FEWBIT_VECTOR_BYTES / 4)));
  Bytes zeros;
  __builtin_memcpy(&zeros, from, sizeof zeros);
  return __builtin_convertvector(zeros, Ints);
}

}  // namespace
