// A weight whose codes name levels of a table: x̂ = scale·table[code], the scale shared by every `span` inputs of a row; or a table for each span.
//
//   codes [rows][rowBytes] | scales [rows][spans] | table, or tables [rows][spans][levels] in place of scales
//
// Inputs go in vectors of `lanes`, a span's last one filled up with zeros, and a span in a whole number of runs, or a run in a whole number of spans. A run is
// what one load reads: the codes of some vectors, lane by lane, the first vector's in the lowest bits of a lane. It has as many vectors as make the reading fast,
// 8 of 4 bits or 2 of 8, and fewer where a row would be filled up with too many zeros.
#pragma once

#include <type_traits>

#include "pack-codes.h"

namespace {

using fewbit::Coding;
using fewbit::LevelsShape;

/** Most and fewest vectors of inputs in a run. */
constexpr int longestRun(Coding coding) { return coding == Coding::nibbles ? 8 : 2; }
constexpr int shortestRun(Coding coding) { return coding == Coding::nibbles ? 2 : 1; }

/** Where the parts of a packed weight lie, and how its rows are cut. */
struct LevelsParts {
  /** Vectors of a run, of a span with its padding, and of those of a span that are in one run. */
  Index runVectors, spanVectors, step;
  /** Bytes of a run and of a row, runs of a row, and inputs of a row with the padding. */
  Index runBytes, rowBytes, runs, places;
  Index spans, levels;
  const uint8_t *codes;
  const char *scales;
  const float *tables;
  const char *end;

  LevelsParts(const char *packed, const LevelsShape &shape)
      : spans(quotientUp(shape.cols, shape.span)), levels(isFloat(shape.coding) ? 0 : Index(1) << shape.bits) {
    cut(shape, shortestRun(shape.coding));
    const Index fewest = runs * runVectors;
    cut(shape, longestRun(shape.coding));
    while (runs * runVectors > fewest + fewest / 16) cut(shape, runVectors / 2);
    runBytes = runVectors * lanes * shape.bits / 8;
    rowBytes = runs * runBytes;
    places = runs * runVectors * lanes;
    const auto take = [&](Index bytes) {
      const char *part = packed;
      packed += quotientUp(bytes, 64) * 64;
      return part;
    };
    const Index perSpan = shape.rows * spans;
    codes = reinterpret_cast<const uint8_t *>(take(shape.rows * rowBytes));
    // Read by whole vectors.
    scales = shape.ownTables ? nullptr : take((perSpan + lanes) * bytesOf(shape.scaleType));
    tables = reinterpret_cast<const float *>(take((shape.ownTables ? perSpan : 1) * levels * 4));
    end = packed;
  }
  static bool isFloat(Coding coding) { return coding == Coding::e4m3 || coding == Coding::e5m2; }
  /** Into runs of so many vectors. */
  void cut(const LevelsShape &shape, Index vectors) {
    runVectors = vectors;
    spanVectors = quotientUp(shape.span, lanes);
    for (step = 1; step < spanVectors && step < runVectors;) step *= 2;
    spanVectors = quotientUp(spanVectors, step) * step;
    runs = quotientUp(spans * spanVectors, runVectors);
  }
  const uint8_t *row(Index r) const { return codes + r * rowBytes; }
  const float *tableOf(Index r, Index span) const { return scales == nullptr ? tables + (r * spans + span) * levels : tables; }
  /** Inputs lie in their order. */
  bool inOrder(const LevelsShape &shape) const { return places == shape.cols && (spans == 1 || spanVectors * lanes == shape.span); }
};

Index levelsBytes(const LevelsShape &shape) { return LevelsParts(nullptr, shape).end - static_cast<const char *>(nullptr); }

/** codes [rows, cols], one per byte; scales [rows, spans] or null; tables as they will lie. */
void packLevels(Pool &pool, const uint8_t *codes, const void *scales, const float *tables, const LevelsShape &shape, char *packed) {
  const LevelsParts parts(packed, shape);
  const Index perSpan = shape.rows * parts.spans, size = bytesOf(shape.scaleType);
  memcpy(const_cast<float *>(parts.tables), tables, (shape.ownTables ? perSpan : 1) * parts.levels * 4);
  if (parts.scales != nullptr) {
    char *to = const_cast<char *>(parts.scales);
    for (Index i = 0; i < perSpan; i++) packScale(scales, i, shape.scaleType, to + i * size);
    memset(to + perSpan * size, 0, lanes * size);
  }
  parallel(pool, shape.rows, 0, [&](Index row, char *) {
    uint8_t *to = const_cast<uint8_t *>(parts.row(row));
    memset(to, 0, parts.rowBytes);
    for (Index span = 0; span < parts.spans; span++) {
      const uint8_t *from = codes + row * shape.cols + span * shape.span;
      for (Index i = 0; i < smallerOf(shape.span, shape.cols - span * shape.span); i++) {
        const Index vector = span * parts.spanVectors + i / lanes, lane = i % lanes, part = vector % parts.runVectors;
        uint8_t *run = to + vector / parts.runVectors * parts.runBytes;
        const Index bit = part * shape.bits;
        run[lane * parts.runBytes / lanes + bit / 8] |= uint8_t(from[i] << bit % 8);
      }
    }
  });
}

/** table[index] of each lane. */
inline Floats gathered(const float *table, Ints index) {
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

/** A table of 16 in registers. What lies above an index of four bits is not looked at. */
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
  Floats at(Ints index) const { return gathered(table, index & 15); }
#endif
};

/** The lanes of a run, of 4, 2 or 1 bytes. */
__attribute__((always_inline)) inline Ints lanesOfRun(const uint8_t *run, Index bytes) {
  return bytes == 4 ? loadInts(run) : bytes == 2 ? widened(reinterpret_cast<const uint16_t *>(run)) : bytesAt(run);
}

/** Decodes vector `part` of a run of `vectors`; `table` has the levels by code. */
template <Coding coding>
struct Decoder;

template <>
struct Decoder<Coding::nibbles> {
  SmallTable table;
  explicit Decoder(const float *table) : table(table) {}
  Floats at(const uint8_t *run, Index vectors, int part) const { return table.at(lanesOfRun(run, vectors / 2) >> 4 * part); }
};

/** The bytes of a vector of a run. */
inline Ints bytesOfRun(const uint8_t *run, Index vectors, int part) { return (lanesOfRun(run, vectors) >> 8 * part) & 0xff; }

/** Its bytes as floats of 8 bits. */
template <int shift>
inline Floats smallFloatsOfRun(const uint8_t *run, Index vectors, int part) {
  return vectors == 2 ? smallFloatsOfWords<shift>(run, part) : smallFloats<shift>(run);
}

template <>
struct Decoder<Coding::bytes> {
  const float *table;
  explicit Decoder(const float *table) : table(table) {}
  Floats at(const uint8_t *run, Index vectors, int part) const { return gathered(table, bytesOfRun(run, vectors, part)); }
};

/** Codes that are the levels themselves, up to a shift: table[0] is the level of code 0, and neighbours are 1 apart. */
template <>
struct Decoder<Coding::integers> {
  float first;
  explicit Decoder(const float *table) : first(table[0]) {}
  Floats at(const uint8_t *run, Index vectors, int part) const { return __builtin_convertvector(bytesOfRun(run, vectors, part), Floats) + first; }
};

template <>
struct Decoder<Coding::e4m3> {
  explicit Decoder(const float *) {}
  Floats at(const uint8_t *run, Index vectors, int part) const { return smallFloatsOfRun<7>(run, vectors, part); }
};

template <>
struct Decoder<Coding::e5m2> {
  explicit Decoder(const float *) {}
  Floats at(const uint8_t *run, Index vectors, int part) const { return smallFloatsOfRun<8>(run, vectors, part); }
};

/** By what levels come out too small. */
constexpr float factorOf(Coding coding) { return coding == Coding::e4m3 ? 256 : 1; }

/** Scales of a row as float32, written by whole vectors; ones where spans have tables. */
inline void readScales(const LevelsParts &parts, const LevelsShape &shape, Index row, float *to) {
  const auto read = [&](auto type) {
    for (Index span = 0; span < parts.spans; span += lanes)
      store(to + span, loadScales<type>(parts.scales + (row * parts.spans + span) * bytesOf(type)));
  };
  if (parts.scales == nullptr)
    for (Index span = 0; span < parts.spans; span += lanes) store(to + span, all(1.f));
  else withScaleType(shape.scaleType, read);
}

/** Inputs [from, to) of one row, decoded. */
template <Coding coding>
inline void decodeRow(const LevelsParts &parts, const LevelsShape &shape, Index row, Index from, Index to, float *out) {
  for (Index span = from / shape.span; span * shape.span < to; span++) {
    const Decoder<coding> decoder(parts.tableOf(row, span));
    const float scale = parts.scales == nullptr ? 1 : scaleAt(parts.scales, row * parts.spans + span, shape.scaleType);
    const Index first = span * shape.span, start = largerOf(from, first), end = smallerOf(smallerOf(to, first + shape.span), shape.cols);
    for (Index vector = (start - first) / lanes; first + vector * lanes < end; vector++) {
      const Index place = span * parts.spanVectors + vector, at = first + vector * lanes;
      const uint8_t *run = parts.row(row) + place / parts.runVectors * parts.runBytes;
      const Floats values = decoder.at(run, parts.runVectors, int(place % parts.runVectors)) * factorOf(coding) * scale;
      if (at >= start && at + lanes <= end) {
        store(out + at - from, values);
        continue;
      }
      float whole[lanes];
      store(whole, values);
      for (Index i = largerOf(at, start); i < smallerOf(at + lanes, end); i++) out[i - from] = whole[i - at];
    }
  }
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
