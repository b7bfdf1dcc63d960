// Pages of the KV cache, as page-shape.ts of @fewbit/kernels lays them out. A decoded value is what rounding would have left in its place, to the bit: attention does not know in what form a row was kept.
#pragma once

#include "packed-codes.h"
#include "round-activations.h"

namespace {

using fewbit::PageKind;
using fewbit::PageShape;

/** f16's bits of a value that f16 holds, of Inf and of NaN. */
inline Ints halfBits(Floats v) {
  const Ints magnitude = bits(v) & magnitudeBits;
  // The bias by a multiplication, which makes subnormal numbers right as well; then the fraction's 10 bits.
  const Ints finite = bits(fromBits(magnitude) * 1.9259299443872359e-34f) >> 13;
  const Ints beyond = 0x7c00 | ((magnitude > 0x7f800000) & 0x200);
  const Ints large = magnitude >= 0x47800000;
  return (large & beyond) | (~large & finite) | ((bits(v) >> 16) & 0x8000);
}

/** f16, Inf and NaN among them. */
inline Floats halvesAt(const char *from) {
  const Floats value = loadScales<ScaleType::f16>(from);
#if FEWBIT_ISA == FEWBIT_AVX512 || FEWBIT_ISA == FEWBIT_AVX2
  return value;
#else
  const Ints magnitude = widened(reinterpret_cast<const uint16_t *>(from)) & 0x7fff;
  return fromBits(bits(value) | ((magnitude >= 0x7c00) & 0x7f800000));
#endif
}

/** Lane j ← the j-th half byte. */
inline Ints nibblesAt(const uint8_t *from) {
#if FEWBIT_ISA == FEWBIT_AVX512
  const __m512i shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  int32_t words[2];
  memcpy(words, from, sizeof words);
  return (Ints)_mm512_srlv_epi32(_mm512_mask_set1_epi32(_mm512_set1_epi32(words[0]), 0xff00, words[1]), shifts) & 15;
#elif FEWBIT_ISA == FEWBIT_AVX2
  int32_t word;
  memcpy(&word, from, sizeof word);
  return (Ints)_mm256_srlv_epi32(_mm256_set1_epi32(word), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28)) & 15;
#else
  return Ints{from[0] & 15, from[0] >> 4, from[1] & 15, from[1] >> 4};
#endif
}

template <class Number>
inline void storeNarrow(Number *to, Ints v, Index count) {
  for (Index lane = 0; lane < count; lane++) to[lane] = Number(v[lane]);
}

/** A code as its byte. */
inline Ints byteOf(PageKind kind, Floats code) {
  if (kind == PageKind::e4m3 || kind == PageKind::e5m2) {
    // Of an f16 of the same fraction, an E4M3's exponent being 8 less.
    const Ints half = halfBits(kind == PageKind::e4m3 ? code * (1 / 256.f) : code);
    const Ints below = half & 0x7fff;
    return ((half >> 8) & 0x80) | (kind == PageKind::e4m3 ? below >> 7 : below >> 8);
  }
  return __builtin_convertvector(code, Ints);
}

/** One row in codes; `codes` has room for n. */
inline void storeCodes(const float *x, char *row, const PageShape &shape, const RoundingShape &rounding, uint8_t *codes) {
  float *scales = reinterpret_cast<float *>(row + shape.scales);
  uint8_t *zeros = reinterpret_cast<uint8_t *>(row + shape.zeros);
  const bool sound = allFinite(x, shape.n);
  for (Index group = 0; group * shape.group < shape.n; group++) {
    const Index first = group * shape.group, count = smallerOf(shape.group, shape.n - first);
    const auto value = [&](Index i, Index part) { return loadUpTo(x + first + i, part); };
    // No code says NaN, so that the scale of a damaged row does.
    const RunScale run = sound ? scaleOfRun(rounding, count, value) : RunScale{__builtin_nanf(""), 0};
    scales[group] = run.scale;
    if (shape.ownZeros) zeros[group] = uint8_t(run.zero);
    byVectors(count, [&](Index i, Index part) {
      storeNarrow(codes + first + i, sound ? byteOf(shape.kind, codesOf(rounding, run, value(i, part))) : Ints{}, part);
    });
  }
  if (shape.kind != PageKind::nibbles) return void(memcpy(row, codes, shape.n));
  for (Index i = 0; i < shape.n / 2; i++) row[i] = char(codes[2 * i] | codes[2 * i + 1] << 4);
}

void storePage(Pool &pool, const float *x, char *page, const PageShape &shape, Index start, Index rows, const RoundingShape &rounding) {
  const Index share = largerOf(1, taskValues / shape.n);
  parallel(pool, quotientUp(rows, share), shape.n, [&](Index task, char *scratch) {
    for (Index row = task * share; row < smallerOf((task + 1) * share, rows); row++) {
      const float *from = x + row * shape.n;
      char *to = page + (start + row) * shape.bytes;
      if (shape.kind != PageKind::halves) {
        storeCodes(from, to, shape, rounding, reinterpret_cast<uint8_t *>(scratch));
        continue;
      }
      byVectors(shape.n, [&](Index i, Index part) {
        storeNarrow(reinterpret_cast<uint16_t *>(to) + i, halfBits(nearestHalf(loadUpTo(from + i, part))), part);
      });
    }
  });
}

/** Values [first, first + count) of a row in codes. */
template <class Codes>
inline void decodeGroups(const char *row, const PageShape &shape, Index first, Index count, float *to, Codes codes) {
  const float *scales = reinterpret_cast<const float *>(row + shape.scales);
  const uint8_t *zeros = reinterpret_cast<const uint8_t *>(row + shape.zeros);
  for (Index group = first / shape.group; group * shape.group < first + count; group++) {
    const Index start = largerOf(first, group * shape.group), end = smallerOf(first + count, (group + 1) * shape.group);
    const RunScale run{scales[group], shape.ownZeros ? float(zeros[group]) : shape.zero};
    byVectors(end - start, [&](Index i, Index part) {
      storeUpTo(to + start - first + i, valuesOf(codes(reinterpret_cast<const uint8_t *>(row), start + i), run), part);
    });
  }
}

template <PageKind kind>
inline void decodeRow(const char *row, const PageShape &shape, Index first, Index count, float *to) {
  if constexpr (kind == PageKind::halves) {
    byVectors(count, [&](Index i, Index part) { storeUpTo(to + i, halvesAt(row + (first + i) * 2), part); });
  } else if constexpr (kind == PageKind::nibbles) {
    decodeGroups(row, shape, first, count, to,
                 [](const uint8_t *codes, Index i) { return __builtin_convertvector(nibblesAt(codes + i / 2), Floats); });
  } else if constexpr (kind == PageKind::bytes) {
    decodeGroups(row, shape, first, count, to, [](const uint8_t *codes, Index i) { return __builtin_convertvector(bytesAt(codes + i), Floats); });
  } else {
    decodeGroups(row, shape, first, count, to, [](const uint8_t *codes, Index i) {
      return kind == PageKind::e4m3 ? smallFloats<7>(codes + i) * 256.f : smallFloats<8>(codes + i);
    });
  }
}

/** Lines of float32, `stride` apart. */
struct Lines {
  const float *at;
  Index stride;
};

/** Values [first, first + count) of `rows` rows from `row` on: where they lie, or decoded into `scratch` [rows][count]. */
inline Lines readPage(const char *page, const PageShape &shape, Index row, Index rows, Index first, Index count, float *scratch) {
  const char *from = page + row * shape.bytes;
  const auto decode = [&](auto decodeOne) {
    for (Index i = 0; i < rows; i++) decodeOne(from + i * shape.bytes, shape, first, count, scratch + i * count);
    return Lines{scratch, count};
  };
  switch (shape.kind) {
    case PageKind::floats: return {reinterpret_cast<const float *>(from) + first, shape.n};
    case PageKind::halves: return decode(decodeRow<PageKind::halves>);
    case PageKind::nibbles: return decode(decodeRow<PageKind::nibbles>);
    case PageKind::bytes: return decode(decodeRow<PageKind::bytes>);
    case PageKind::e4m3: return decode(decodeRow<PageKind::e4m3>);
    default: return decode(decodeRow<PageKind::e5m2>);
  }
}

}  // namespace
