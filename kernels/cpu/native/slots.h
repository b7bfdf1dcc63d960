// Where the codes of one width stand in their run (packed-codes.h), and how vectors of them come from it.
#pragma once

#include "byte-tables.h"
#include "packed-codes.h"

namespace {

/** Quads of a run: each lane of a vector of codes as bytes has four inputs. */
constexpr int quadsPerRun = runInputs / 4;

/** Bits `bit` … of each byte of a word are a code's bits `from` …, `width` of them. */
struct Part {
  int word, bit, from, width;
};

/** The parts of each quad's codes, in the order in which words complete them. */
template <int bits>
struct Slots {
  /** Codes that a byte has whole. */
  static constexpr int whole = 8 / bits;

  Part parts[quadsPerRun][bits] = {};
  int counts[quadsPerRun] = {};

  constexpr Slots() {
    int quad = 0, filled = 0;
    Part open[bits] = {};
    int count = 0;
    for (int word = 0; word < bits; word++) {
      for (int slot = 0; slot < whole; slot++, quad++) {
        parts[quad][0] = {word, slot * bits, 0, bits};
        counts[quad] = 1;
      }
      for (int bit = whole * bits; bit < 8; bit += open[count - 1].width) {
        if (filled == bits) filled = count = 0;
        const int width = 8 - bit < bits - filled ? 8 - bit : bits - filled;
        open[count++] = {word, bit, filled, width};
        filled += width;
        if (filled < bits) continue;
        for (int i = 0; i < count; i++) parts[quad][i] = open[i];
        counts[quad++] = count;
      }
    }
  }
};

template <int bits>
constexpr Slots<bits> slotsOf;

/** Calls of(word, shift in the word's lane, shift in the code, mask) for the parts of the code of input `i` of a run. */
template <int bits, class Of>
inline void eachPart(int i, Of of) {
  const int quad = i / 4, byte = i % 2 * 2 + i % 4 / 2;
  for (int p = 0; p < slotsOf<bits>.counts[quad]; p++) {
    const Part &part = slotsOf<bits>.parts[quad][p];
    of(part.word, byte * 8 + part.bit, part.from, (1 << part.width) - 1);
  }
}

/** Word `index` of a run: of the `lanes` rows from those on that stand at `run`. */
inline Ints wordOf(const char *run, int index) { return loadInts(run + index * blockRows * 4); }

inline Ints movedUp(Ints words, int by) { return by < 0 ? words >> -by : words << by; }

/** a, and the bits of b that `mask` has. */
inline Ints joined(Ints a, Ints b, int32_t mask) {
#if FEWBIT_ISA == FEWBIT_AVX512
  return (Ints)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)b, _mm512_set1_epi32(mask), 0xf8);
#else
  return a | (b & mask);
#endif
}

/** The codes of a quad, as bytes: where `quad` is known, a few instructions. */
template <int bits>
__attribute__((always_inline)) inline Ints quadBytes(const char *run, int quad) {
  const Part(&parts)[bits] = slotsOf<bits>.parts[quad];
  const auto maskOf = [](const Part &part) { return int32_t((((1u << part.width) - 1) << part.from) * 0x01010101u); };
  Ints codes = (wordOf(run, parts[0].word) >> parts[0].bit) & maskOf(parts[0]);
#pragma GCC unroll 8
  for (int p = 1; p < slotsOf<bits>.counts[quad]; p++)
    codes = joined(codes, movedUp(wordOf(run, parts[p].word), parts[p].from - parts[p].bit), maskOf(parts[p]));
  return codes;
}

/** The lower (half 0) or the upper byte of each 16 bits, in 16 bits. */
__attribute__((always_inline)) inline Ints bytePair(Ints bytes, int half) {
  typedef uint16_t Numbers __attribute__((vector_size(FEWBIT_VECTOR_BYTES)));
  return half == 0 ? bytes & 0xff00ff : (Ints)((Numbers)bytes >> 8);
}

/** Codes that are the numbers themselves. */
template <int width>
struct PlainCodes {
  static constexpr int bits = width;
  static constexpr bool named = false;
  /** Of the largest number. */
  static constexpr int numberBits = width;
  /** Sums that `pair` is added to: one for each slot of a byte. */
  static constexpr int sums = Slots<bits>::whole;

  explicit PlainCodes(const PackedHeader &) {}

  /** The numbers of a quad, as bytes. */
  __attribute__((always_inline)) Ints bytes(const char *run, int quad) const { return quadBytes<bits>(run, quad); }

  /** Of the pairs of a quad. */
  static constexpr int sumOf(int quad) { return slotsOf<bits>.counts[quad] > 1 ? 0 : slotsOf<bits>.parts[quad][0].bit / bits; }
  /** How many times as large, as a power of two, a sum comes out: codes that are whole stay in their slot. */
  static constexpr int shiftOf(int sum) { return sum * bits; }

  /** The numbers of the first (half 0) or the last two inputs of a quad in 16 bits, 2^shiftOf(sumOf(quad)) times as large. */
  __attribute__((always_inline)) Ints pair(const char *run, int quad, int half) const {
    if (slotsOf<bits>.counts[quad] > 1) return bytePair(bytes(run, quad), half);
    const Part &part = slotsOf<bits>.parts[quad][0];
    return (wordOf(run, part.word) >> half * 8) & ((((1 << bits) - 1) * 0x10001) << part.bit);
  }
};

/** Codes of 4 bits that name levels of a table. */
struct NamedLevels {
  static constexpr int bits = 4;
  static constexpr bool named = true;
  static constexpr int numberBits = 8;
  /** Two, so that one need not wait for the other. */
  static constexpr int sums = 2;

  Ints table;

  explicit NamedLevels(const PackedHeader &header) : table(byteTable(header.levels)) {}
  __attribute__((always_inline)) Ints bytes(const char *run, int quad) const { return bytesNamed(table, quadBytes<bits>(run, quad)); }
  static constexpr int sumOf(int quad) { return quad % sums; }
  static constexpr int shiftOf(int) { return 0; }
  __attribute__((always_inline)) Ints pair(const char *run, int quad, int half) const { return bytePair(bytes(run, quad), half); }
};

template <class T>
struct Type {
  using type = T;
};

/** body(Type of what reads the codes of such a weight) */
template <class Body>
inline void withCodes(const QuantizedShape &shape, Body body) {
  if (shape.named) return body(Type<NamedLevels>());
  switch (shape.bits) {
    case 2: return body(Type<PlainCodes<2>>());
    case 3: return body(Type<PlainCodes<3>>());
    case 4: return body(Type<PlainCodes<4>>());
    case 5: return body(Type<PlainCodes<5>>());
    case 6: return body(Type<PlainCodes<6>>());
    case 7: return body(Type<PlainCodes<7>>());
    default: return body(Type<PlainCodes<8>>());
  }
}

}  // namespace
