// A quantized weight as the kernels read it: a header, then one stream, front to back. Rows go in blocks of 2 × lanes, inputs in chunks that lie in one group.
//
//   header | block of rows → [ steps ] chunk → [ codes | scales of the block's rows | their zero points, where they differ, or their bases ]
//
// x̂ = scale·(code − zero point), or scale·code + base. Where scales (and bases) are whole numbers of a byte, each is times a step of its row: a block begins with
// those, for one run of chunks after the other the scales' and the bases'.
//
// A run of 32 inputs is as many vectors as codes have bits. Each 32-bit lane of a vector is one row, and each of its bytes has as many codes as go into it
// whole, first input in the lowest bits. The bits that are left above them hold further codes, in parts, lowest bits first, which come after the last vector
// that they need. Four inputs that follow each other, a quad, are in the four bytes of a lane, in the order 0, 2, 1, 3: each half of a lane has two, 8 bits apart.
// One byte of a run, by quads:
//
//   4 bits  1‥‥0‥‥ | 3‥‥2‥‥ | 5‥‥4‥‥ | 7‥‥6‥‥                       3 bits  4‥1‥‥0‥‥ | 7 4 3‥‥2‥‥ | 7‥6‥‥5‥‥
//   5 bits  2‥‥0‥‥‥‥ | 5 2‥1‥‥‥‥ | 5‥‥3‥‥‥‥ | 7‥5 4‥‥‥‥ | 7‥‥6‥‥‥‥
//
// A chunk may end with half a run: the vectors that its first four quads need.
#pragma once

#include <type_traits>

#include "kernels.h"
#include "pair-products.h"
#include "small-floats.h"

namespace {

using fewbit::CodesToPack;
using fewbit::Origin;
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
  // Most groups are one chunk, which takes no division.
  Index start(Index chunk) const { return perGroup == 1 ? chunk * group : chunk / perGroup * group + chunk % perGroup * longestChunk; }
  Index end(Index chunk) const {
    const Index groupEnd = perGroup == 1 ? (chunk + 1) * group : (chunk / perGroup + 1) * group;
    return smallerOf(start(chunk) + longestChunk, smallerOf(groupEnd, cols));
  }
};

/** What a packed weight begins with; its stream begins at the next cache line. */
struct PackedHeader {
  /** That codes name, where they do. */
  uint8_t levels[16];
  /** Of all scales. */
  float divisor;
  char rest[44];
};
static_assert(sizeof(PackedHeader) == 64, "a cache line");

inline const PackedHeader &headerOf(const char *packed) { return *reinterpret_cast<const PackedHeader *>(packed); }

constexpr Index bytesOf(ScaleType type) { return type == ScaleType::f32 ? 4 : type >= ScaleType::e8m0 ? 1 : 2; }

constexpr int runInputs = 32;
/** Vectors of codes per `lanes` rows; inputs are a multiple of 16. */
constexpr Index vectorsOf(Index inputs, int bits) { return inputs / runInputs * bits + inputs % runInputs / 16 * ((bits + 1) / 2); }

/** Bytes of the parts of one block: of each of its chunks, and of the steps before them. */
struct BlockBytes {
  Index codes, scales, chunk, step, steps, all;
  /** Chunks that share steps. */
  Index chunksPerStep;

  BlockBytes(const QuantizedShape &shape, const Chunks &chunks)
      : codes(blockRows * vectorsOf(chunks.length, shape.bits) * 4),
        scales(blockRows * bytesOf(shape.scaleType)),
        chunk(codes + scales + (shape.origin == Origin::bases ? scales : shape.origin == Origin::zeros ? blockRows : 0)),
        step(shape.scaleType != ScaleType::i8 ? 0 : shape.origin == Origin::bases ? 4 * blockRows : 2 * blockRows),
        chunksPerStep(step > 0 ? shape.stepInputs / shape.group : chunks.count) {
    steps = step * quotientUp(chunks.count, chunksPerStep);
    all = steps + chunks.count * chunk;
  }
  /** Of a chunk in its block, and of its steps. */
  Index chunkAt(Index index) const { return steps + index * chunk; }
  Index stepAt(Index index) const { return index / chunksPerStep * step; }
};

/** Scales of `lanes` rows, divisor and steps left out. */
template <ScaleType type>
inline Floats loadScales(const char *from) {
  if constexpr (type == ScaleType::f32) return load(reinterpret_cast<const float *>(from));
  if constexpr (type == ScaleType::e8m0) return fromBits(bytesAt(reinterpret_cast<const uint8_t *>(from)) << 23);
  if constexpr (type == ScaleType::e4m3) return smallFloats<7>(reinterpret_cast<const uint8_t *>(from)) * 256.f;
  if constexpr (type == ScaleType::i8) return __builtin_convertvector(signedBytesAt(reinterpret_cast<const int8_t *>(from)), Floats);
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

/** Scales of `lanes` rows of a block from row `row` on, the divisor left out. `steps`: of the block's rows. */
template <ScaleType type>
inline Floats scalesOf(const char *scales, const char *steps, Index row) {
  const Floats numbers = loadScales<type>(scales + row * bytesOf(type));
  if constexpr (type == ScaleType::i8) return numbers * loadScales<ScaleType::f16>(steps + row * 2);
  return numbers;
}
/** The same of bases; places are those of the scales. */
template <ScaleType type>
inline Floats basesOf(const char *scales, const char *steps, Index row) {
  return scalesOf<type>(scales + blockRows * bytesOf(type), steps + blockRows * 2, row);
}

/** body(the type as a constant) */
template <class Body>
inline void withScaleType(ScaleType type, Body body) {
  switch (type) {
    case ScaleType::f32: return body(std::integral_constant<ScaleType, ScaleType::f32>());
    case ScaleType::f16: return body(std::integral_constant<ScaleType, ScaleType::f16>());
    case ScaleType::bf16: return body(std::integral_constant<ScaleType, ScaleType::bf16>());
    case ScaleType::e8m0: return body(std::integral_constant<ScaleType, ScaleType::e8m0>());
    case ScaleType::e4m3: return body(std::integral_constant<ScaleType, ScaleType::e4m3>());
    case ScaleType::i8: return body(std::integral_constant<ScaleType, ScaleType::i8>());
  }
}

inline Ints loadZeros(const char *from) { return bytesAt(reinterpret_cast<const uint8_t *>(from)); }

}  // namespace
