// Work by rows, and sums over a row.
#pragma once

#include <vector>

#include "vector.h"

namespace {

/** Values per task. */
constexpr Index taskValues = 16384;

/** of(row) for every row of n values. */
template <class Of>
inline void byRows(Pool &pool, Index rows, Index n, Of of) {
  const Index share = largerOf(1, taskValues / largerOf(1, n));
  parallel(pool, quotientUp(rows, share), 0, [&](Index task, char *) {
    for (Index row = task * share; row < smallerOf((task + 1) * share, rows); row++) of(row);
  });
}

/** of(i, n) for stretches of one flat array. */
template <class Of>
inline void byStretches(Pool &pool, Index count, Of of) {
  parallel(pool, quotientUp(count, taskValues), 0, [&](Index task, char *) {
    of(task * taskValues, smallerOf(taskValues, count - task * taskValues));
  });
}

/**
 * of(first, last, scratch) for runs of `count` pieces that lie one behind the other in memory: each run takes a share of what is left, so that memory is read in
 * long runs and all threads end together (Polychronopoulos and Kuck 1987, "Guided self-scheduling").
 */
template <class Of>
inline void byRuns(Pool &pool, Index count, size_t scratchBytes, Of of) {
  const Index shares = 2 * pool.threads();
  const auto next = [&](Index first) { return first + quotientUp(count - first, shares); };
  Index runs = 0;
  for (Index first = 0; first < count; first = next(first)) runs++;
  parallel(pool, runs, scratchBytes, [&](Index run, char *scratch) {
    Index first = 0;
    for (; run > 0; run--) first = next(first);
    of(first, next(first), scratch);
  });
}

template <class Of>
inline void byRuns(Pool &pool, Index count, Of of) {
  byRuns(pool, count, 0, [&](Index first, Index last, char *) { of(first, last); });
}

/** of(part, i, scratch) for i = 0 … countOf(part) − 1 of each of `parts`, in one job. */
template <class Part, class CountOf, class Of>
inline void byParts(Pool &pool, const std::vector<Part> &parts, size_t scratchBytes, CountOf countOf, Of of) {
  Index all = 0;
  for (const Part &part : parts) all += countOf(part);
  parallel(pool, all, scratchBytes, [&](Index task, char *scratch) {
    const Part *part = parts.data();
    for (; task >= countOf(*part); part++) task -= countOf(*part);
    of(*part, task, scratch);
  });
}

/** The sum of the vectors of(i, count) over a row of n values: in float32 over a short stretch, in double over the stretches. */
template <class Of>
inline double total(Index n, Of of) {
  constexpr Index stretch = 16 * lanes;
  double result = 0;
  for (Index first = 0; first < n; first += stretch) {
    Floats part = {};
    byVectors(smallerOf(stretch, n - first), [&](Index i, Index count) { part += of(first + i, count); });
    result += sum(part);
  }
  return result;
}

}  // namespace
