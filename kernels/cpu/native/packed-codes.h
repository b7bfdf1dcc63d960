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

using fewbit::QuantizedProduct;
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

/** The first bit of input `i` in its lane. */
constexpr int placeOf(int i, int slot) {
  const int perByte = 8 / slot, pair = i / 2;
  return i % 2 * 16 + pair / perByte * 8 + pair % perByte * slot;
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
