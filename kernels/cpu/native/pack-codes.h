// Codes into the form that products read, and rows of it back.
#pragma once

#include "slots.h"

namespace {

Index packedBytes(const QuantizedShape &shape) {
  const Chunks chunks(shape.cols, shape.group);
  return quotientUp(shape.rows, blockRows) * chunks.count * ChunkBytes(shape, chunks).all;
}

/** `count` codes of one row into every blockRows-th word. */
template <int bits>
inline void packRow(const uint8_t *codes, Index count, uint32_t *to) {
  uint32_t words[bits];
  const auto put = [&](int i) {
    eachPart<bits>(i, [&](int word, int bit, int from, int mask) { words[word] |= uint32_t(codes[i] >> from & mask) << bit; });
  };
  for (; count > 0; count -= runInputs, codes += runInputs, to += bits * blockRows) {
    memset(words, 0, sizeof words);
    if (count >= runInputs) {
#pragma GCC unroll 32
      for (int i = 0; i < runInputs; i++) put(i);
    } else {
      for (int i = 0; i < count; i++) put(i);
    }
    const Index filled = vectorsOf(smallerOf(quotientUp(count, 16) * 16, runInputs), bits);
    for (Index word = 0; word < filled; word++) to[word * blockRows] = words[word];
  }
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

template <int bits>
void packBits(Pool &pool, const uint8_t *codes, const float *scales, const uint8_t *zeros, Index tileRows, const QuantizedShape &shape,
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
        packRow<bits>(codes + row * shape.cols + start, count, reinterpret_cast<uint32_t *>(at) + r);
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

/** codes [rows, cols], one scale (float32) and zero point per tile → `packed`. Tiles are tileRows × shape.group, `across` of them side by side. */
void packCodes(Pool &pool, const uint8_t *codes, const float *scales, const uint8_t *zeros, Index tileRows, const QuantizedShape &shape,
               char *packed) {
  withBits(shape.bits, [&](auto bits) { packBits<bits>(pool, codes, scales, zeros, tileRows, shape, packed); });
}

template <int bits>
void unpackBits(Pool &pool, const char *packed, const QuantizedShape &shape, const uint32_t *indices, Index count, float *out) {
  const Chunks chunks(shape.cols, shape.group);
  const ChunkBytes bytes(shape, chunks);
  parallel(pool, count, 0, [&](Index at, char *) {
    const Index row = indices[at], r = row % blockRows;
    const char *chunk = packed + row / blockRows * chunks.count * bytes.all;
    for (Index c = 0; c < chunks.count; c++, chunk += bytes.all) {
      const float scale = scaleAt(chunk + bytes.codes, r, shape.scaleType);
      const int zero = shape.ownZeros ? uint8_t(chunk[bytes.codes + bytes.scales + r]) : shape.zero;
      float *to = out + at * shape.cols + chunks.start(c);
      for (Index i = 0; i < chunks.end(c) - chunks.start(c); i++) {
        const uint32_t *run = reinterpret_cast<const uint32_t *>(chunk) + i / runInputs * bits * blockRows + r;
        uint32_t code = 0;
        eachPart<bits>(int(i % runInputs), [&](int word, int bit, int from, int mask) { code |= (run[word * blockRows] >> bit & mask) << from; });
        to[i] = float(int(code) - zero) * scale;
      }
    }
  });
}

/** Rows `indices` of a packed weight, decoded → out [count, cols]. */
void unpackRows(Pool &pool, const char *packed, const QuantizedShape &shape, const uint32_t *indices, Index count, float *out) {
  withBits(shape.bits, [&](auto bits) { unpackBits<bits>(pool, packed, shape, indices, count, out); });
}

}  // namespace
