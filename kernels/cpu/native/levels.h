// A weight whose codes name levels of a table: x̂ = scale·table[code] + base, scale and base shared by every `span` inputs of a row; or a table for each span.
//
//   codes [rows][rowBytes] | scales [rows][spans] | bases [rows][spans], where there are any | table, or tables [rows][spans][levels] in place of scales
//
// Codes take 4 or 8 bits, the first of two in the low half of the byte. A row is followed by enough bytes for a whole vector to be read, zeros
// after the last: of an input that is not there the product is 0·level, and garbage may name Inf or NaN.
#pragma once

#include <type_traits>

#include "kernels.h"
#include "vector.h"

namespace {

using fewbit::Coding;
using fewbit::LevelsShape;

/** Where the parts of a packed weight lie. */
struct LevelsParts {
  Index rowBytes, spans, levels;
  const uint8_t *codes;
  const float *scales, *bases, *tables;
  const char *end;

  LevelsParts(const char *packed, const LevelsShape &shape)
      : rowBytes(quotientUp(shape.cols * shape.bits, 32) * 4), spans(quotientUp(shape.cols, shape.span)), levels(Index(1) << shape.bits) {
    const auto take = [&](Index bytes) {
      const char *part = packed;
      packed += quotientUp(bytes, 64) * 64;
      return part;
    };
    const Index perSpan = shape.rows * spans * 4;
    codes = reinterpret_cast<const uint8_t *>(take(shape.rows * rowBytes + 64));
    scales = shape.ownTables ? nullptr : reinterpret_cast<const float *>(take(perSpan));
    bases = shape.bases ? reinterpret_cast<const float *>(take(perSpan)) : nullptr;
    tables = reinterpret_cast<const float *>(take((shape.ownTables ? perSpan : 4) * levels));
    end = packed;
  }
  const uint8_t *row(Index r) const { return codes + r * rowBytes; }
  const float *tableOf(Index r, Index span) const { return scales == nullptr ? tables + (r * spans + span) * levels : tables; }
};

Index levelsBytes(const LevelsShape &shape) { return LevelsParts(nullptr, shape).end - static_cast<const char *>(nullptr); }

/** codes [rows, cols], one per byte; scales and bases [rows, spans] or null; tables as they will lie. */
void packLevels(Pool &pool, const uint8_t *codes, const float *scales, const float *bases, const float *tables, const LevelsShape &shape,
                char *packed) {
  const LevelsParts parts(packed, shape);
  const Index perSpan = shape.rows * parts.spans;
  const auto copy = [](const float *to, const float *from, Index count) { memcpy(const_cast<float *>(to), from, count * 4); };
  if (parts.scales != nullptr) copy(parts.scales, scales, perSpan);
  if (parts.bases != nullptr) copy(parts.bases, bases, perSpan);
  copy(parts.tables, tables, (shape.ownTables ? perSpan : 1) * parts.levels);
  parallel(pool, shape.rows, 0, [&](Index row, char *) {
    const uint8_t *from = codes + row * shape.cols;
    uint8_t *to = const_cast<uint8_t *>(parts.row(row));
    memset(to + shape.cols * shape.bits / 8, 0, parts.rowBytes - shape.cols * shape.bits / 8 + (row + 1 == shape.rows ? 64 : 0));
    if (shape.bits == 8) return void(memcpy(to, from, shape.cols));
    for (Index i = 0; i < shape.cols / 2; i++) to[i] = uint8_t(from[2 * i] | from[2 * i + 1] << 4);
    if (shape.cols % 2 != 0) to[shape.cols / 2] = from[shape.cols - 1];
  });
}

/** A table of 16 in registers. */
struct SmallTable {
#if FEWBIT_ISA == FEWBIT_AVX512
  Floats all16;
  explicit SmallTable(const float *table) : all16(load(table)) {}
  Floats at(Ints index) const { return (Floats)_mm512_permutexvar_ps((__m512i)index, (__m512)all16); }
#elif FEWBIT_ISA == FEWBIT_AVX2
  Floats low, high;
  explicit SmallTable(const float *table) : low(load(table)), high(load(table + 8)) {}
  Floats at(Ints index) const {
    const __m256 lower = _mm256_permutevar8x32_ps((__m256)low, (__m256i)index), upper = _mm256_permutevar8x32_ps((__m256)high, (__m256i)index);
    return (Floats)_mm256_blendv_ps(lower, upper, _mm256_castsi256_ps(_mm256_slli_epi32((__m256i)index, 28)));
  }
#else
  const float *table;
  explicit SmallTable(const float *table) : table(table) {}
  Floats at(Ints index) const {
    Floats found;
    for (int lane = 0; lane < lanes; lane++) found[lane] = table[index[lane]];
    return found;
  }
#endif
};

/** Lane j ← the j-th half byte, with what lies above it: a table in registers does not look there. */
inline Ints nibbles(const uint8_t *from) {
#if FEWBIT_ISA == FEWBIT_AVX512
  const __m512i shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  int32_t words[2];
  memcpy(words, from, sizeof words);
  return (Ints)_mm512_srlv_epi32(_mm512_mask_set1_epi32(_mm512_set1_epi32(words[0]), 0xff00, words[1]), shifts);
#elif FEWBIT_ISA == FEWBIT_AVX2
  int32_t word;
  memcpy(&word, from, sizeof word);
  return (Ints)_mm256_srlv_epi32(_mm256_set1_epi32(word), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
#else
  return Ints{from[0] & 15, from[0] >> 4, from[1] & 15, from[1] >> 4};
#endif
}

/** Decodes vectors of one coding; `table` has the levels by code. */
template <Coding coding>
struct Decoder;

template <>
struct Decoder<Coding::nibbles> {
  SmallTable table;
  explicit Decoder(const float *table) : table(table) {}
  Floats at(const uint8_t *row, Index i) const { return table.at(nibbles(row + i / 2)); }
};

template <>
struct Decoder<Coding::bytes> {
  const float *table;
  explicit Decoder(const float *table) : table(table) {}
  Floats at(const uint8_t *row, Index i) const {
    const Ints index = bytesAt(row + i);
#if FEWBIT_ISA == FEWBIT_AVX512
    return (Floats)_mm512_i32gather_ps((__m512i)index, table, 4);
#elif FEWBIT_ISA == FEWBIT_AVX2
    return (Floats)_mm256_i32gather_ps(table, (__m256i)index, 4);
#else
    Floats found;
    for (int lane = 0; lane < lanes; lane++) found[lane] = table[index[lane]];
    return found;
#endif
  }
};

/** Codes that are the levels themselves, up to a shift: table[0] is the level of code 0, and neighbours are 1 apart. */
template <>
struct Decoder<Coding::integers> {
  float first;
  explicit Decoder(const float *table) : first(table[0]) {}
  Floats at(const uint8_t *row, Index i) const { return __builtin_convertvector(bytesAt(row + i), Floats) + first; }
};

/** Floats of 8 bits read as f16, their 7 bits below the sign moved up by `shift`. */
template <int shift>
inline Floats smallFloats(const uint8_t *from) {
#if FEWBIT_ISA == FEWBIT_AVX512
  const __m256i byte = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
  const __m256i half = _mm256_or_si256(_mm256_slli_epi16(_mm256_and_si256(byte, _mm256_set1_epi16(0x7f)), shift),
                                       _mm256_slli_epi16(_mm256_and_si256(byte, _mm256_set1_epi16(0x80)), 8));
  return (Floats)_mm512_cvtph_ps(half);
#elif FEWBIT_ISA == FEWBIT_AVX2
  const __m128i byte = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(from)));
  const __m128i half = _mm_or_si128(_mm_slli_epi16(_mm_and_si128(byte, _mm_set1_epi16(0x7f)), shift),
                                    _mm_slli_epi16(_mm_and_si128(byte, _mm_set1_epi16(0x80)), 8));
  return (Floats)_mm256_cvtph_ps(half);
#else
  const Ints byte = bytesAt(from);
  // The same in float32, then its bias by a multiplication, which makes subnormal numbers right as well.
  const Floats magnitude = fromBits((byte & 0x7f) << (13 + shift)) * 5.192296858534828e33f;
  return fromBits(bits(magnitude) | (byte & 0x80) << 24);
#endif
}

template <>
struct Decoder<Coding::e4m3> {
  explicit Decoder(const float *) {}
  Floats at(const uint8_t *row, Index i) const { return smallFloats<7>(row + i) * 256.f; }
};

template <>
struct Decoder<Coding::e5m2> {
  explicit Decoder(const float *) {}
  Floats at(const uint8_t *row, Index i) const { return smallFloats<8>(row + i); }
};

/** of(start, count, span, decoder) for every span of a row. */
template <Coding coding, class Of>
inline void bySpans(const LevelsParts &parts, const LevelsShape &shape, Index row, Index from, Index to, Of of) {
  for (Index span = from / shape.span; span * shape.span < to; span++) {
    const Index start = largerOf(from, span * shape.span), end = smallerOf(to, (span + 1) * shape.span);
    of(start, end - start, span, Decoder<coding>(parts.tableOf(row, span)));
  }
}

/** Inputs [from, to) of one row, decoded. */
template <Coding coding>
inline void decodeRow(const LevelsParts &parts, const LevelsShape &shape, Index row, Index from, Index to, float *out) {
  bySpans<coding>(parts, shape, row, from, to, [&](Index start, Index count, Index span, const Decoder<coding> &decoder) {
    const float scale = parts.scales == nullptr ? 1 : parts.scales[row * parts.spans + span];
    const float base = parts.bases == nullptr ? 0 : parts.bases[row * parts.spans + span];
    byVectors(count, [&](Index i, Index part) { storeUpTo(out + start - from + i, decoder.at(parts.row(row), start + i) * scale + base, part); });
  });
}

/** body(coding as a constant) */
template <class Body>
inline void withCoding(Coding coding, Body body) {
  switch (coding) {
    case Coding::nibbles: return body(std::integral_constant<Coding, Coding::nibbles>());
    case Coding::bytes: return body(std::integral_constant<Coding, Coding::bytes>());
    case Coding::integers: return body(std::integral_constant<Coding, Coding::integers>());
    case Coding::e4m3: return body(std::integral_constant<Coding, Coding::e4m3>());
    case Coding::e5m2: return body(std::integral_constant<Coding, Coding::e5m2>());
  }
}

void unpackLevels(Pool &pool, const char *packed, const LevelsShape &shape, const uint32_t *indices, Index count, float *out) {
  const LevelsParts parts(packed, shape);
  withCoding(shape.coding, [&](auto coding) {
    parallel(pool, count, 0, [&](Index at, char *) { decodeRow<coding>(parts, shape, indices[at], 0, shape.cols, out + at * shape.cols); });
  });
}

}  // namespace
