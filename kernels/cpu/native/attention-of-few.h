// The same as attention.h for a few queries, as in decoding: keys and values are read once, as they lie, a stretch of positions per task; then what each
// stretch gave is joined (Dao et al. 2023, "Flash-Decoding").
#pragma once

#include "functions.h"
#include "rows.h"

namespace {

using fewbit::AttentionShape;

constexpr Index fewQueries = 4;
/** Positions per task: their keys of one head stay in the first-level cache. */
constexpr Index stretchKeys = 32;

/** What one stretch of keys gives one head of one query: Σ weight·value, not yet divided by Σ weight; weights are exp(score − most). */
struct PartialAttention {
  float *mixed, *most, *total;

  static Index floats(Index headSize) { return headSize + 2; }
  PartialAttention(float *at, Index headSize) : mixed(at), most(at + headSize), total(at + headSize + 1) {}
};

/** scores[i] = scale · q·k[i] for `count` keys that are `width` apart. */
template <int count>
inline void scoreKeys(const float *q, const float *k, Index width, Index headSize, float scale, float *scores) {
  Floats sums[count] = {};
  byVectors(headSize, [&](Index d, Index part) {
    const Floats query = loadUpTo(q + d, part);
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) sums[i] += query * loadUpTo(k + i * width + d, part);
  });
  for (int i = 0; i < count; i++) scores[i] = sum(sums[i]) * scale;
}

/** mixed = Σ weights[i]·v[i] for `count` values that are `width` apart, `vectors` vectors of each. */
template <int vectors>
inline void mixValues(const float *weights, const float *v, Index width, Index count, float *mixed) {
  Floats sums[vectors] = {};
  for (Index i = 0; i < count; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) sums[j] += weights[i] * load(v + i * width + j * lanes);
  }
#pragma GCC unroll 8
  for (int j = 0; j < vectors; j++) store(mixed + j * lanes, sums[j]);
}

/** Scores → weights, in place; returns their maximum and sum. */
inline void weighScores(float *scores, Index count, float softcap, float &most, float &total) {
  Floats tops = all(-3e38f);
  for (Index i = count; i < stretchKeys; i++) scores[i] = -3e38f;
  for (Index i = 0; i < stretchKeys; i += lanes) {
    Floats score = load(scores + i);
    if (softcap > 0) score = capped(score, softcap);
    store(scores + i, score);
    tops = larger(score, tops);
  }
  most = largest(tops);
  Floats sums = {};
  for (Index i = 0; i < stretchKeys; i += lanes) {
    const Floats weight = firstLanes(exponential(load(scores + i) - most), largerOf(0, smallerOf(lanes, count - i)));
    sums += weight;
    store(scores + i, weight);
  }
  total = sum(sums);
}

/** `count` keys from k and v, of one key-value head, for one head of one query. */
inline void attendStretch(const float *q, const float *k, const float *v, Index width, Index headSize, Index count, float scale, float softcap,
                          const PartialAttention &to) {
  alignas(64) float scores[stretchKeys];
  Index i = 0;
  for (; i + 4 <= count; i += 4) scoreKeys<4>(q, k + i * width, width, headSize, scale, scores + i);
  for (; i < count; i++) scoreKeys<1>(q, k + i * width, width, headSize, scale, scores + i);
  weighScores(scores, count, softcap, *to.most, *to.total);
  Index d = 0;
  for (; d + 8 * lanes <= headSize; d += 8 * lanes) mixValues<8>(scores, v + d, width, count, to.mixed + d);
  for (; d + lanes <= headSize; d += lanes) mixValues<1>(scores, v + d, width, count, to.mixed + d);
  for (; d < headSize; d++) {
    to.mixed[d] = 0;
    for (Index j = 0; j < count; j++) to.mixed[d] += scores[j] * v[j * width + d];
  }
}

void attentionOfFew(Pool &pool, const float *q, const float *const *k, const float *const *v, float *out, AttentionShape shape) {
  const auto [m, heads, keyValueHeads, headSize, scale, start, window, pageRows, softcap] = shape;
  const Index group = heads / keyValueHeads, width = keyValueHeads * headSize, rows = m * heads;
  const auto firstKey = [&, start = start, window = window](Index query) { return window > 0 ? largerOf(0, start + query + 1 - window) : 0; };
  // Each page is cut into stretches by itself.
  const Index stretchesOfPage = quotientUp(pageRows, stretchKeys);
  const auto stretchOf = [&, pageRows = pageRows](Index key) { return key / pageRows * stretchesOfPage + key % pageRows / stretchKeys; };
  const Index firstStretch = stretchOf(firstKey(0)), stretches = stretchOf(start + m - 1) + 1 - firstStretch;
  const Index size = PartialAttention::floats(headSize);
  float *partials = reinterpret_cast<float *>(pool.workspace(stretches * rows * size * sizeof(float)));

  parallel(pool, stretches, 0, [&, shape](Index stretch, char *) {
    const auto [m, heads, keyValueHeads, headSize, scale, start, window, pageRows, softcap] = shape;
    const Index page = (firstStretch + stretch) / stretchesOfPage, firstOfPage = page * pageRows;
    const Index begin = firstOfPage + (firstStretch + stretch) % stretchesOfPage * stretchKeys;
    const Index end = smallerOf(begin + stretchKeys, firstOfPage + pageRows);
    for (Index query = 0; query < m; query++) {
      const Index from = largerOf(begin, firstKey(query)), to = smallerOf(end, start + query + 1);
      for (Index head = 0; head < heads; head++) {
        const PartialAttention partial(partials + (stretch * rows + query * heads + head) * size, headSize);
        const Index at = (from - firstOfPage) * width + head / group * headSize;
        if (from < to) attendStretch(q + (query * heads + head) * headSize, k[page] + at, v[page] + at, width, headSize, to - from, scale, softcap, partial);
        else *partial.most = -3e38f, *partial.total = 0, memset(partial.mixed, 0, headSize * sizeof(float));
      }
    }
  });

  byRows(pool, rows, stretches * headSize, [&, headSize = headSize](Index row) {
    const auto partialOf = [&](Index stretch) { return PartialAttention(partials + (stretch * rows + row) * size, headSize); };
    float most = -3e38f, total = 0;
    for (Index stretch = 0; stretch < stretches; stretch++) most = *partialOf(stretch).most > most ? *partialOf(stretch).most : most;
    float *to = out + row * headSize;
    memset(to, 0, headSize * sizeof(float));
    for (Index stretch = 0; stretch < stretches; stretch++) {
      const PartialAttention partial = partialOf(stretch);
      const float by = exponential(all(*partial.most - most))[0];
      total += *partial.total * by;
      byVectors(headSize, [&](Index d, Index part) { storeUpTo(to + d, loadUpTo(to + d, part) + loadUpTo(partial.mixed + d, part) * by, part); });
    }
    const float inverse = 1 / total;
    byVectors(headSize, [&](Index d, Index part) { storeUpTo(to + d, loadUpTo(to + d, part) * inverse, part); });
  });
}

}  // namespace
