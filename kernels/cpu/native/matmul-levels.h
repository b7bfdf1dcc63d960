// x·wᵀ + bias for w of levels (levels.h), decoded to float32 on the way: exact but for the order of the sums.
#pragma once

#include "levels.h"
#include "multiply.h"
#include "rows.h"

namespace {

/** Tokens whose products share one decoding. */
constexpr Index levelsTokens = 4;

/** Rows of w that go together: so many sums that none waits for its last addition, and all of them stay in registers. */
constexpr int rowsOfLevels(int tokens) {
  constexpr int sums = FEWBIT_ISA == FEWBIT_AVX512 || FEWBIT_ISA == FEWBIT_NEON ? 8 : 4;
  return tokens == 1 ? 4 : tokens == 3 ? sums / 4 : sums / tokens;
}

/** `rows` rows of w from `row` on for `tokens` tokens → sums [row][token]. `step`: vectors of a span that are in one run of `runVectors`; `scales` [rows][stride]. */
template <Coding coding, int tokens, int rows, int runVectors, int step>
__attribute__((noinline)) void sumsOfLevels(const LevelsParts &parts, Index row, const float *x, const float *scales, Index stride, float *sums) {
  const Index places = parts.places, runsPerSpan = largerOf(1, parts.spanVectors / runVectors);
  const bool ownTables = parts.scales == nullptr;
  const uint8_t *codes = parts.row(row);
  Floats totals[rows][tokens] = {}, products[rows][tokens] = {};
  Index span = 0, left = runsPerSpan;
  const float *table[rows];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) table[r] = parts.tableOf(row + r, 0);
  for (Index run = 0; run < parts.runs; run++, codes += parts.runBytes) {
    // The same run of the rows that come next.
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) __builtin_prefetch(codes + (rows + r) * parts.rowBytes);
#pragma GCC unroll 8
    for (int part = 0; part < runVectors; part++, x += lanes) {
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        const Floats levels = Decoder<coding>(table[r]).at(codes + r * parts.rowBytes, runVectors, part);
#pragma GCC unroll 4
        for (int t = 0; t < tokens; t++) products[r][t] += levels * load(x + t * places);
      }
      if ((part + 1) % step != 0 || (step == runVectors && --left > 0)) continue;
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int t = 0; t < tokens; t++) {
          totals[r][t] += products[r][t] * scales[r * stride + span];
          products[r][t] = Floats{};
        }
      span = smallerOf(span + 1, parts.spans - 1);
      left = runsPerSpan;
      if (!ownTables) continue;
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) table[r] = parts.tableOf(row + r, span);
    }
  }
  for (int r = 0; r < rows; r++)
    for (int t = 0; t < tokens; t++) sums[r * tokens + t] = sum(totals[r][t]) * factorOf(coding);
}

/** All tokens of all rows of a run of rows. */
template <Coding coding, int tokens, int runVectors, int step>
void runOfLevels(const LevelsParts &parts, const LevelsShape &shape, const float *x, const float *bias, float *out, Index first, Index last, float *scales) {
  constexpr int together = rowsOfLevels(tokens);
  const Index stride = quotientUp(parts.spans, lanes) * lanes;
  float sums[together * tokens];
  for (Index row = first; row < last;) {
    const Index count = last - row >= together ? together : 1;
    for (Index r = 0; r < count; r++) readScales(parts, shape, row + r, scales + r * stride);
    if (count == together) sumsOfLevels<coding, tokens, together, runVectors, step>(parts, row, x, scales, stride, sums);
    else sumsOfLevels<coding, tokens, 1, runVectors, step>(parts, row, x, scales, stride, sums);
    for (Index r = 0; r < count; r++)
      for (Index t = 0; t < tokens; t++) {
        const float product = sums[r * tokens + t];
        out[t * shape.rows + row + r] = bias != nullptr ? bias[row + r] + product : product;
      }
    row += count;
  }
}

/** body(number as a constant), for a number that is one of `numbers`. */
template <int... numbers, class Body>
inline void withNumber(Index number, Body body) {
  (void)((number == numbers && (body(std::integral_constant<int, numbers>()), true)) || ...);
}

/** x as kernels read it: at the places of packed inputs, zeros at others. */
const float *placeInputs(Pool &pool, const float *x, const LevelsParts &parts, const LevelsShape &shape, Index m) {
  if (parts.inOrder(shape)) return x;
  float *placed = reinterpret_cast<float *>(pool.workspace(m * parts.places * sizeof(float)));
  memset(placed, 0, m * parts.places * sizeof(float));
  for (Index t = 0; t < m; t++)
    for (Index span = 0; span < parts.spans; span++) {
      const Index start = span * shape.span, count = smallerOf(shape.span, shape.cols - start);
      memcpy(placed + t * parts.places + span * parts.spanVectors * lanes, x + t * shape.cols + start, count * sizeof(float));
    }
  return placed;
}

template <Coding coding>
void fewByLevels(Pool &pool, const float *x, const LevelsParts &parts, const LevelsShape &shape, const float *bias, float *out, Index m) {
  const float *placed = placeInputs(pool, x, parts, shape, m);
  const size_t scaleBytes = rowsOfLevels(int(m)) * quotientUp(parts.spans, lanes) * lanes * sizeof(float);
  byRuns(pool, quotientUp(shape.rows, 4), scaleBytes, [&](Index begin, Index end, char *scratch) {
    float *scales = reinterpret_cast<float *>(scratch);
    withNumber<1, 2, 3, 4>(m, [&](auto tokens) {
      withNumber<shortestRun(coding), 2, 4, 8>(parts.runVectors, [&](auto run) {
        withNumber<1, 2, 4, 8>(parts.step, [&](auto step) {
          if constexpr (run <= longestRun(coding) && step <= run)
            runOfLevels<coding, tokens, run, step>(parts, shape, placed, bias, out, begin * 4, smallerOf(end * 4, shape.rows), scales);
        });
      });
    });
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
