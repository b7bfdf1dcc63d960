// Codes into the form that products read, and rows of it back.
#pragma once

#include "slots.h"

namespace {

Index packedBytes(const QuantizedShape &shape) {
  const Chunks chunks(shape.cols, shape.group);
  return Index(sizeof(PackedHeader)) + quotientUp(shape.rows, blockRows) * BlockBytes(shape, chunks).all;
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

inline float floatOf(uint32_t word) {
  float value;
  memcpy(&value, &word, 4);
  return value;
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
  const uint32_t half = type == ScaleType::f16 || type == ScaleType::bf16 ? reinterpret_cast<const uint16_t *>(scales)[row] : 0;
  const uint8_t byte = uint8_t(scales[row]);
  switch (type) {
    case ScaleType::f32: return reinterpret_cast<const float *>(scales)[row];
    case ScaleType::bf16: return floatOf(half << 16);
    case ScaleType::e8m0: return floatOf(uint32_t(byte) << 23);
    // Exponent and fraction in place, then the bias by a multiplication, which makes subnormal numbers right as well.
    case ScaleType::i8: return float(int8_t(byte));
    case ScaleType::f16: return floatOf((half & 0x7fff) << 13) * (half & 0x8000 ? -0x1p112f : 0x1p112f);
    default: return floatOf((byte & 0x7f) << 20) * (byte & 0x80 ? -0x1p120f : 0x1p120f);
  }
}

/** Scale number `tile` of `from`, where it will lie. */
inline void packScale(const void *from, Index tile, ScaleType type, char *to) {
  if (bytesOf(type) == 1) return void(*to = static_cast<const char *>(from)[tile]);
  const uint32_t scale = bitsOf(static_cast<const float *>(from)[tile]);
  if (type == ScaleType::f32) return void(memcpy(to, &scale, 4));
  const uint16_t half = type == ScaleType::bf16 ? uint16_t(scale >> 16) : halfOf(scale);
  memcpy(to, &half, 2);
}

/** Those of `rows` rows of a block from row `first` of the matrix on. */
inline void packSteps(const CodesToPack &from, Index first, Index rows, const BlockBytes &bytes, char *to) {
  if (bytes.step == 0) return;
  const Index kinds = bytes.step / (2 * blockRows), perRow = bytes.steps / (2 * blockRows);
  for (Index r = 0; r < rows; r++)
    for (Index i = 0; i < perRow; i++)
      packScale(from.steps, (first + r) * perRow + i, ScaleType::f16, to + i / kinds * bytes.step + (i % kinds * blockRows + r) * 2);
}

template <class Codes>
void packBlocks(Pool &pool, const CodesToPack &from, const QuantizedShape &shape, char *packed) {
  const Chunks chunks(shape.cols, shape.group);
  const BlockBytes bytes(shape, chunks);
  const Index across = quotientUp(shape.cols, shape.group), size = bytesOf(shape.scaleType);
  parallel(pool, quotientUp(shape.rows, blockRows), 0, [&](Index block, char *) {
    const Index first = block * blockRows, rows = smallerOf(blockRows, shape.rows - first);
    char *at = packed + block * bytes.all;
    memset(at, 0, bytes.all);
    packSteps(from, first, rows, bytes, at);
    at += bytes.steps;
    for (Index chunk = 0; chunk < chunks.count; chunk++, at += bytes.chunk) {
      const Index start = chunks.start(chunk), count = chunks.end(chunk) - start;
      for (Index r = 0; r < rows; r++) {
        packRow<Codes::bits>(from.codes + (first + r) * shape.cols + start, count, reinterpret_cast<uint32_t *>(at) + r);
        const Index tile = (first + r) / from.tileRows * across + chunk / chunks.perGroup;
        char *scales = at + bytes.codes, *others = scales + bytes.scales;
        packScale(from.scales, tile, shape.scaleType, scales + r * size);
        if (shape.origin == Origin::zeros) others[r] = char(from.zeros[tile]);
        if (shape.origin == Origin::bases) packScale(from.bases, tile, shape.scaleType, others + r * size);
      }
    }
  });
}

/** Tiles are tileRows × shape.group, as many side by side as cover a row. */
void packCodes(Pool &pool, const CodesToPack &from, const QuantizedShape &shape, char *packed) {
  PackedHeader header{};
  if (shape.named) memcpy(header.levels, from.levels, sizeof header.levels);
  header.divisor = from.divisor;
  memcpy(packed, &header, sizeof header);
  withCodes(shape, [&](auto kind) { packBlocks<typename decltype(kind)::type>(pool, from, shape, packed + sizeof header); });
}

template <class Codes>
void unpackBlocks(Pool &pool, const char *packed, const QuantizedShape &shape, const uint32_t *indices, Index count, float *out) {
  const Chunks chunks(shape.cols, shape.group);
  const BlockBytes bytes(shape, chunks);
  const PackedHeader &header = headerOf(packed);
  parallel(pool, count, 0, [&](Index at, char *) {
    const Index row = indices[at], r = row % blockRows;
    const char *block = packed + sizeof header + row / blockRows * bytes.all, *chunk = block + bytes.steps;
    for (Index c = 0; c < chunks.count; c++, chunk += bytes.chunk) {
      const char *scales = chunk + bytes.codes, *others = scales + bytes.scales, *steps = block + bytes.stepAt(c);
      const auto number = [&](const char *of, Index kind) {
        const float step = bytes.step == 0 ? 1 : scaleAt(steps + kind * 2 * blockRows, r, ScaleType::f16);
        return scaleAt(of, r, shape.scaleType) * step;
      };
      const float scale = number(scales, 0) / header.divisor;
      const float base = shape.origin == Origin::bases ? number(others, 1) : 0;
      const int zero = shape.origin == Origin::zeros ? uint8_t(others[r]) : shape.zero;
      float *to = out + at * shape.cols + chunks.start(c);
      for (Index i = 0; i < chunks.end(c) - chunks.start(c); i++) {
        const uint32_t *run = reinterpret_cast<const uint32_t *>(chunk) + i / runInputs * Codes::bits * blockRows + r;
        uint32_t code = 0;
        eachPart<Codes::bits>(int(i % runInputs), [&](int word, int bit, int from, int mask) { code |= (run[word * blockRows] >> bit & mask) << from; });
        const float value = float(int(shape.named ? header.levels[code] : code) - zero) * scale;
        to[i] = shape.origin == Origin::bases ? value + base : value;
      }
    }
  });
}

/** Rows `indices` of a packed weight, decoded → out [count, cols]. */
void unpackRows(Pool &pool, const char *packed, const QuantizedShape &shape, const uint32_t *indices, Index count, float *out) {
  withCodes(shape, [&](auto kind) { unpackBlocks<typename decltype(kind)::type>(pool, packed, shape, indices, count, out); });
}

}  // namespace
