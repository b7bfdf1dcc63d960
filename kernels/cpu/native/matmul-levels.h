// x·wᵀ + bias for w of levels (levels.h), decoded to float32 on the way: exact but for the order of the sums.
#pragma once

#include "levels.h"
#include "multiply.h"

namespace {

/** Tokens whose products share one decoding. */
constexpr Index levelsTokens = 4;
/** Bytes that codes are read ahead. */
constexpr Index levelsAhead = 2048;

/** One row of w for `tokens` tokens; xSums [tokens][spans] where there are bases. */
template <Coding coding, int tokens>
inline void rowOfLevels(const LevelsParts &parts, const LevelsShape &shape, Index row, const float *x, const float *xSums, float *sums) {
  Floats totals[tokens] = {};
  float based[tokens] = {};
  const uint8_t *codes = parts.row(row);
  bySpans<coding>(parts, shape, row, 0, shape.cols, [&](Index start, Index count, Index span, const Decoder<coding> &decoder) {
    for (Index byte = start * shape.bits / 8; byte < (start + count) * shape.bits / 8; byte += 64) __builtin_prefetch(codes + byte + levelsAhead);
    Floats products[tokens] = {};
    Index i = start;
    for (; i + lanes <= start + count; i += lanes) {
      const Floats levels = decoder.at(codes, i);
#pragma GCC unroll 4
      for (int t = 0; t < tokens; t++) products[t] += levels * load(x + t * shape.cols + i);
    }
    if (i < start + count)
      for (int t = 0; t < tokens; t++) products[t] += decoder.at(codes, i) * loadPart(x + t * shape.cols + i, start + count - i);
    const float scale = parts.scales == nullptr ? 1 : parts.scales[row * parts.spans + span];
#pragma GCC unroll 4
    for (int t = 0; t < tokens; t++) totals[t] += products[t] * scale;
    if (parts.bases != nullptr)
      for (int t = 0; t < tokens; t++) based[t] += parts.bases[row * parts.spans + span] * xSums[t * parts.spans + span];
  });
  for (int t = 0; t < tokens; t++) sums[t] = sum(totals[t]) + based[t];
}

template <Coding coding>
void fewByLevels(Pool &pool, const float *x, const LevelsParts &parts, const LevelsShape &shape, const float *bias, float *out, Index m) {
  float *xSums = nullptr;
  if (shape.bases) {
    xSums = reinterpret_cast<float *>(pool.workspace(m * parts.spans * sizeof(float)));
    for (Index at = 0; at < m * parts.spans; at++) {
      const Index start = at % parts.spans * shape.span, count = smallerOf(shape.span, shape.cols - start);
      Floats total = {};
      byVectors(count, [&](Index i, Index part) { total += loadUpTo(x + at / parts.spans * shape.cols + start + i, part); });
      xSums[at] = sum(total);
    }
  }
  byRuns(pool, shape.rows, [&](Index first, Index last) {
    float sums[levelsTokens];
    for (Index row = first; row < last; row++) {
      switch (m) {
        case 1: rowOfLevels<coding, 1>(parts, shape, row, x, xSums, sums); break;
        case 2: rowOfLevels<coding, 2>(parts, shape, row, x, xSums, sums); break;
        case 3: rowOfLevels<coding, 3>(parts, shape, row, x, xSums, sums); break;
        default: rowOfLevels<coding, 4>(parts, shape, row, x, xSums, sums);
      }
      for (Index t = 0; t < m; t++) out[t * shape.rows + row] = bias != nullptr ? bias[row] + sums[t] : sums[t];
    }
  });
}

/** Rows of levels where `multiply` looks for rows of floats. */
struct LevelsView {
  const LevelsParts *parts;
  const LevelsShape *shape;

  template <int columns>
  void packColumns(Index p, Index j, Index width, Index length, float *panel) const {
    constexpr Index stretch = 64;
    float wide[columns * stretch];
    withCoding(shape->coding, [&](auto coding) {
      for (Index first = 0; first < length; first += stretch) {
        const Index count = smallerOf(stretch, length - first);
        for (Index c = 0; c < width; c++) decodeRow<coding>(*parts, *shape, j + c, p + first, p + first + count, wide + c * stretch);
        packPanel<columns>(View<float>{wide, stretch, 1}, width, count, panel + first * columns);
      }
    });
  }
};

void matmulLevels(Pool &pool, const float *x, const char *packed, const LevelsShape &shape, const float *bias, float *out, Index m) {
  const LevelsParts parts(packed, shape);
  if (m > levelsTokens) return multiply<float>(pool, {x, shape.cols, 1}, LevelsView{&parts, &shape}, out, shape.rows, m, shape.cols, shape.rows, Into::replace, bias);
  withCoding(shape.coding, [&](auto coding) { fewByLevels<coding>(pool, x, parts, shape, bias, out, m); });
}

}  // namespace
