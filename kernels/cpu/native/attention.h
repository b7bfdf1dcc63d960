// Causal softmax attention by blocks of keys with a running maximum (Milakov and Gimelshein 2018; Dao et al. 2022, algorithm 1). One task serves all
// query heads that share a key-value head, so that keys and values are packed once for them.
#pragma once

#include "attention-of-few.h"
#include "functions.h"
#include "micro-kernel.h"
#include "page.h"

namespace {

using fewbit::AttentionShape;

/** Keys per step: whole tiles and vectors. */
constexpr Index keyStep = tileColumns<float> == 12 ? 120 : 128;
/** About as many rows (queries × heads) per task. */
constexpr Index attentionRows = 96;

/** The memory of one task. Rows are (query, head) pairs, a query's heads side by side. */
struct AttentionTask {
  Index rows, panels, padded;
  /** [panel][headSize][tileRows] */
  float *queries;
  /** [keyStep / tileColumns][headSize][tileColumns] */
  float *keys;
  /** [padded / tileColumns][keyStep][tileColumns] */
  float *values;
  /** [panels·tileRows][keyStep] */
  float *scores;
  /** [panel][keyStep][tileRows] */
  float *weights;
  /** [panels·tileRows][padded] */
  float *mixed;
  float *most, *total;
  /** Keys or values, where they are decoded: [keyStep][headSize] */
  float *lines;

  AttentionTask(Index rows, Index headSize, float *at)
      : rows(rows), panels(quotientUp(rows, tileRows)), padded(quotientUp(headSize, tileColumns<float>) * tileColumns<float>) {
    const auto take = [&](Index count) {
      float *taken = at;
      at += quotientUp(count, 16) * 16;
      return taken;
    };
    queries = take(panels * headSize * tileRows);
    keys = take(keyStep * headSize);
    values = take(padded * keyStep);
    scores = take(panels * tileRows * keyStep);
    weights = take(panels * tileRows * keyStep);
    mixed = take(panels * tileRows * padded);
    most = take(rows);
    total = take(rows);
    lines = take(keyStep * headSize);
    end = at;
  }
  float *end;
};

/** Turns one row's scores of keys [from, to) into weights, zero elsewhere; the row's earlier sums shrink as its maximum grows. */
inline void softmaxStep(AttentionTask &task, Index row, Index from, Index to, float softcap) {
  float *scores = task.scores + row * keyStep;
  if (softcap > 0)
    for (Index i = 0; i < keyStep; i += lanes) store(scores + i, capped(load(scores + i), softcap));
  for (Index i = 0; i < from; i++) scores[i] = -__builtin_inff();
  for (Index i = to; i < keyStep; i++) scores[i] = -__builtin_inff();
  Floats most = all(task.most[row]);
  for (Index i = 0; i < keyStep; i += lanes) most = larger(load(scores + i), most);
  const float top = largest(most);
  Floats sums = {};
  for (Index i = 0; i < keyStep; i += lanes) {
    const Floats value = load(scores + i);
    const Floats weight = value == -__builtin_inff() ? Floats{} : exponential(value - top);
    // NaN where a score is not finite, unless it is one that is not seen.
    sums += weight == 0.f ? Floats{} : weight + (value - value);
    store(scores + i, weight);
  }
  const float shrink = exponential(all(task.most[row] - top))[0];
  if (shrink != 1) {
    float *mixed = task.mixed + row * task.padded;
    for (Index i = 0; i < task.padded; i += lanes) store(mixed + i, load(mixed + i) * shrink);
  }
  task.total[row] = task.total[row] * shrink + sum(sums);
  task.most[row] = top;
}

/** How the queries of a sequence are cut: `queries` of them in each block, a task for each key-value head of a block. */
struct QueryBlocks {
  SequenceAttention of;
  Index group, queries, blocks;

  explicit QueryBlocks(const SequenceAttention &of)
      : of(of),
        group(of.shape.heads / of.shape.keyValueHeads),
        queries(largerOf(1, smallerOf(of.shape.m, attentionRows / group))),
        blocks(quotientUp(of.shape.m, queries)) {}
  Index tasks() const { return blocks * of.shape.keyValueHeads; }
  size_t scratchBytes() const {
    return (AttentionTask(queries * group, of.shape.headSize, nullptr).end - static_cast<float *>(nullptr)) * sizeof(float);
  }
};

void attendByBlocks(const QueryBlocks &cut, Index index, char *scratch) {
  constexpr int columns = tileColumns<float>;
  const auto &[q, k, v, out, shape] = cut.of;
  const auto [m, heads, keyValueHeads, headSize, scale, start, window, pageRows, softcap, keys, values] = shape;
  const Index group = cut.group, width = heads * headSize;
  // The last queries see the most keys: they go first.
  const Index firstQuery = (cut.blocks - 1 - index / keyValueHeads) * cut.queries;
  const Index head = index % keyValueHeads;
  const Index queries = smallerOf(cut.queries, m - firstQuery);
  AttentionTask task(queries * group, headSize, reinterpret_cast<float *>(scratch));
  const auto headOf = [&](Index row) { return (firstQuery + row / group) * width + (head * group + row % group) * headSize; };

  for (Index row = 0; row < task.panels * tileRows; row++) {
    float *to = task.queries + row / tileRows * headSize * tileRows + row % tileRows;
    const float *from = q + (row < task.rows ? headOf(row) : 0);
    for (Index d = 0; d < headSize; d++) to[d * tileRows] = row < task.rows ? from[d] * scale : 0;
  }
  memset(task.mixed, 0, task.panels * tileRows * task.padded * sizeof(float));
  for (Index row = 0; row < task.rows; row++) task.most[row] = -3e38f, task.total[row] = 0;

  const Index last = start + firstQuery + queries;
  const Index first = window > 0 ? largerOf(0, start + firstQuery - window + 1) : 0;
  for (Index key = first, count; key < last; key += count) {
    const Index page = key / pageRows, rowOfPage = key % pageRows;
    count = smallerOf(keyStep, smallerOf(last - key, pageRows - rowOfPage));
    const Index keyPanels = quotientUp(count, columns);
    const Lines keyLines = readPage(k[page], keys, rowOfPage, count, head * headSize, headSize, task.lines);
    for (Index panel = 0; panel < keyPanels; panel++) {
      const View<float> lines{keyLines.at + panel * columns * keyLines.stride, keyLines.stride, 1};
      packPanel<columns>(lines, smallerOf(columns, count - panel * columns), headSize, task.keys + panel * headSize * columns);
      for (Index p = 0; p < task.panels; p++)
        tile(headSize, task.queries + p * headSize * tileRows, task.keys + panel * headSize * columns,
             task.scores + p * tileRows * keyStep + panel * columns, keyStep, Into::replace);
    }
    for (Index row = 0; row < task.rows; row++) {
      const Index position = start + firstQuery + row / group;
      const Index from = window > 0 ? smallerOf(count, largerOf(0, position - window + 1 - key)) : 0;
      const Index to = largerOf(from, smallerOf(count, position + 1 - key));
      if (from < to) softmaxStep(task, row, from, to, softcap);
      else memset(task.scores + row * keyStep, 0, count * sizeof(float));
    }
    for (Index p = 0; p < task.panels; p++) {
      const View<float> scores{task.scores + p * tileRows * keyStep, keyStep, 1};
      packPanel<tileRows>(scores, smallerOf(tileRows, task.rows - p * tileRows), count, task.weights + p * keyStep * tileRows);
    }
    const Lines valueLines = readPage(v[page], values, rowOfPage, count, head * headSize, headSize, task.lines);
    for (Index d = 0; d < headSize; d += columns) {
      const View<float> lines{valueLines.at + d, 1, valueLines.stride};
      float *panel = task.values + d * keyStep;
      packPanel<columns>(lines, smallerOf(columns, headSize - d), count, panel);
      for (Index p = 0; p < task.panels; p++)
        tile(count, task.weights + p * keyStep * tileRows, panel, task.mixed + p * tileRows * task.padded + d, task.padded, Into::add);
    }
  }
  for (Index row = 0; row < task.rows; row++) {
    const float inverse = 1 / task.total[row];
    float *to = out + headOf(row);
    for (Index d = 0; d < headSize; d++) to[d] = task.mixed[row * task.padded + d] * inverse;
  }
}

/** Attention of many queries. */
void attentionByBlocks(Pool &pool, const std::vector<SequenceAttention> &sequences) {
  const std::vector<QueryBlocks> cuts(sequences.begin(), sequences.end());
  size_t most = 0;
  for (const QueryBlocks &cut : cuts) most = cut.scratchBytes() > most ? cut.scratchBytes() : most;
  byParts(pool, cuts, most, [](const QueryBlocks &cut) { return cut.tasks(); }, attendByBlocks);
}

void attention(Pool &pool, const SequenceAttention *sequences, Index count) {
  std::vector<SequenceAttention> few, many;
  for (Index i = 0; i < count; i++) (sequences[i].shape.m <= fewQueries ? few : many).push_back(sequences[i]);
  if (!few.empty()) attentionOfFew(pool, few);
  if (!many.empty()) attentionByBlocks(pool, many);
}

}  // namespace
