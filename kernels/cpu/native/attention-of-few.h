// The same as attention.h for a few queries, as in decoding: keys and values are read once, as they lie, a stretch of positions per task; then what each
// stretch gave is joined (Dao et al. 2023, "Flash-Decoding").
#pragma once

#include "functions.h"
#include "page.h"
#include "rows.h"

namespace {

using fewbit::AttentionShape;
using fewbit::SequenceAttention;

constexpr Index fewQueries = 4;
/** Positions per task: their keys of one head stay in the first-level cache. */
constexpr Index stretchKeys = 32;

/** What one stretch of keys gives one head of one query: Σ weight·value, not yet divided by Σ weight; weights are exp(score − most). */
struct PartialAttention {
  float *mixed, *most, *total;

  static Index floats(Index headSize) { return headSize + 2; }
  PartialAttention(float *at, Index headSize) : mixed(at), most(at + headSize), total(at + headSize + 1) {}
};

/** Heads of queries that share each load of keys and values. */
constexpr int headsTogether = 4;

/** scores[head · stretchKeys + i] = scale · q[head]·k[i] for `count` keys that are `width` apart. */
template <int heads, int count>
inline void scoreKeys(const float *q, const float *k, Index width, Index headSize, float scale, float *scores) {
  Floats sums[heads][count] = {};
  byVectors(headSize, [&](Index d, Index part) {
    Floats keys[count];
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) keys[i] = loadUpTo(k + i * width + d, part);
#pragma GCC unroll 4
    for (int head = 0; head < heads; head++) {
      const Floats query = loadUpTo(q + head * headSize + d, part);
#pragma GCC unroll 4
      for (int i = 0; i < count; i++) sums[head][i] += query * keys[i];
    }
  });
#pragma GCC unroll 4
  for (int head = 0; head < heads; head++) {
    float *to = scores + head * stretchKeys;
    if constexpr (count == 4) sumFour(sums[head], to);
    else to[0] = sum(sums[head][0]);
    for (int i = 0; i < count; i++) to[i] *= scale;
  }
}

/** mixed[head] = Σ weights[head][i]·v[i] for `count` values that are `width` apart, `vectors` vectors of each. */
template <int heads, int vectors>
inline void mixValues(const float (*weights)[stretchKeys], const float *v, Index width, Index count, float *const *mixed, Index d) {
  Floats sums[heads][vectors] = {};
  for (Index i = 0; i < count; i++) {
    Floats values[vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) values[j] = load(v + i * width + d + j * lanes);
#pragma GCC unroll 4
    for (int head = 0; head < heads; head++) {
#pragma GCC unroll 4
      for (int j = 0; j < vectors; j++) sums[head][j] += weights[head][i] * values[j];
    }
  }
#pragma GCC unroll 4
  for (int head = 0; head < heads; head++) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) store(mixed[head] + d + j * lanes, sums[head][j]);
  }
}

/** Scores → weights, in place; returns their maximum and sum, which is NaN where a score is not finite. */
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
    sums += weight + (load(scores + i) - load(scores + i));
    store(scores + i, weight);
  }
  total = sum(sums);
}

/** `count` keys and values of one key-value head for `heads` heads of one query, of which that many partial results lie one after the other. */
template <int heads>
void attendStretch(const float *q, Lines k, Lines v, Index headSize, Index count, float scale, float softcap, float *partials) {
  // Four accumulators of each of four heads stay in registers where there are 32 of these.
  constexpr int vectors = lanes == 16 ? 4 : 2;
  alignas(64) float scores[heads][stretchKeys];
  float *mixed[heads];
  // Keys are read head by head, not as they lie: values come as a stretch of memory ahead of their use.
  for (Index i = 0; i < count; i++)
    for (Index d = 0; d < headSize; d += 16) __builtin_prefetch(v.at + i * v.stride + d);
  Index i = 0;
  for (; i + 4 <= count; i += 4) scoreKeys<heads, 4>(q, k.at + i * k.stride, k.stride, headSize, scale, scores[0] + i);
  for (; i < count; i++) scoreKeys<heads, 1>(q, k.at + i * k.stride, k.stride, headSize, scale, scores[0] + i);
  for (int head = 0; head < heads; head++) {
    const PartialAttention to(partials + head * PartialAttention::floats(headSize), headSize);
    weighScores(scores[head], count, softcap, *to.most, *to.total);
    mixed[head] = to.mixed;
  }
  Index d = 0;
  for (; d + vectors * lanes <= headSize; d += vectors * lanes) mixValues<heads, vectors>(scores, v.at, v.stride, count, mixed, d);
  for (; d + lanes <= headSize; d += lanes) mixValues<heads, 1>(scores, v.at, v.stride, count, mixed, d);
  for (; d < headSize; d++) {
    for (int head = 0; head < heads; head++) {
      mixed[head][d] = 0;
      for (Index j = 0; j < count; j++) mixed[head][d] += scores[head][j] * v.at[j * v.stride + d];
    }
  }
}

/** What a sequence's attention is cut into. */
struct Stretches {
  SequenceAttention of;
  /** Of queries × heads. */
  Index rows;
  Index ofPage, first, count;
  /** [count][rows]; size of one in floats. */
  float *partials = nullptr;
  Index size;

  explicit Stretches(const SequenceAttention &of)
      : of(of), rows(of.shape.m * of.shape.heads), ofPage(quotientUp(of.shape.pageRows, stretchKeys)), size(PartialAttention::floats(of.shape.headSize)) {
    first = holding(firstKey(0));
    count = holding(of.shape.start + of.shape.m - 1) + 1 - first;
  }
  Index firstKey(Index query) const { return of.shape.window > 0 ? largerOf(0, of.shape.start + query + 1 - of.shape.window) : 0; }
  /** The stretch that a key is in: each page is cut by itself. */
  Index holding(Index key) const { return key / of.shape.pageRows * ofPage + key % of.shape.pageRows / stretchKeys; }
};

void attendToStretch(const Stretches &cut, Index stretch, float *scratch) {
  const auto &[q, k, v, out, shape] = cut.of;
  const Index m = shape.m, heads = shape.heads, headSize = shape.headSize, start = shape.start, group = heads / shape.keyValueHeads;
  const Index page = (cut.first + stretch) / cut.ofPage, firstOfPage = page * shape.pageRows;
  Index begin = firstOfPage + (cut.first + stretch) % cut.ofPage * stretchKeys;
  // What any of the queries sees.
  const Index end = smallerOf(smallerOf(begin + stretchKeys, firstOfPage + shape.pageRows), start + m);
  begin = largerOf(begin, cut.firstKey(0));
  for (Index shared = 0; shared < shape.keyValueHeads; shared++) {
    const auto read = [&](const char *const *pages, const PageShape &as, float *decoded) {
      return readPage(pages[page], as, begin - firstOfPage, end - begin, shared * headSize, headSize, decoded);
    };
    const Lines keys = read(k, shape.keys, scratch), values = read(v, shape.values, scratch + stretchKeys * headSize);
    for (Index query = 0; query < m; query++) {
      const Index from = largerOf(begin, cut.firstKey(query)), to = smallerOf(end, start + query + 1);
      const auto behind = [&](Lines lines) { return Lines{lines.at + (from - begin) * lines.stride, lines.stride}; };
      for (Index head = shared * group, count; head < (shared + 1) * group; head += count) {
        count = smallerOf(headsTogether, (shared + 1) * group - head);
        float *partials = cut.partials + (stretch * cut.rows + query * heads + head) * cut.size;
        if (from < to) {
          const auto attend = count == 4 ? attendStretch<4> : count == 3 ? attendStretch<3> : count == 2 ? attendStretch<2> : attendStretch<1>;
          attend(q + (query * heads + head) * headSize, behind(keys), behind(values), headSize, to - from, shape.scale, shape.softcap, partials);
          continue;
        }
        for (Index i = 0; i < count; i++) {
          const PartialAttention nothing(partials + i * cut.size, headSize);
          *nothing.most = -3e38f, *nothing.total = 0, memset(nothing.mixed, 0, headSize * sizeof(float));
        }
      }
    }
  }
}

void joinStretches(const Stretches &cut, Index row) {
  const Index headSize = cut.of.shape.headSize;
  const auto partialOf = [&](Index stretch) { return PartialAttention(cut.partials + (stretch * cut.rows + row) * cut.size, headSize); };
  float most = -3e38f, total = 0;
  for (Index stretch = 0; stretch < cut.count; stretch++) most = *partialOf(stretch).most > most ? *partialOf(stretch).most : most;
  float *to = cut.of.out + row * headSize;
  memset(to, 0, headSize * sizeof(float));
  for (Index stretch = 0; stretch < cut.count; stretch++) {
    const PartialAttention partial = partialOf(stretch);
    const float by = exponential(all(*partial.most - most))[0];
    total += *partial.total * by;
    byVectors(headSize, [&](Index d, Index part) { storeUpTo(to + d, loadUpTo(to + d, part) + loadUpTo(partial.mixed + d, part) * by, part); });
  }
  const float inverse = 1 / total;
  byVectors(headSize, [&](Index d, Index part) { storeUpTo(to + d, loadUpTo(to + d, part) * inverse, part); });
}

/** Of all sequences in one job: a stretch of one is work for a single thread, and those of a short sequence are few. */
void attentionOfFew(Pool &pool, const std::vector<SequenceAttention> &sequences) {
  std::vector<Stretches> cuts(sequences.begin(), sequences.end());
  Index floats = 0, headSize = 0;
  for (const Stretches &cut : cuts) floats += cut.count * cut.rows * cut.size, headSize = largerOf(headSize, cut.of.shape.headSize);
  float *memory = reinterpret_cast<float *>(pool.workspace(floats * sizeof(float)));
  for (Stretches &cut : cuts) cut.partials = memory, memory += cut.count * cut.rows * cut.size;

  byParts(
      pool, cuts, 2 * stretchKeys * headSize * sizeof(float), [](const Stretches &cut) { return cut.count; },
      [](const Stretches &cut, Index stretch, char *scratch) { attendToStretch(cut, stretch, reinterpret_cast<float *>(scratch)); });

  const auto share = [](const Stretches &cut) { return largerOf(1, taskValues / (cut.count * cut.of.shape.headSize)); };
  byParts(
      pool, cuts, 0, [&](const Stretches &cut) { return quotientUp(cut.rows, share(cut)); },
      [&](const Stretches &cut, Index task, char *) {
        const Index first = task * share(cut);
        for (Index row = first; row < smallerOf(first + share(cut), cut.rows); row++) joinStretches(cut, row);
      });
}

}  // namespace
