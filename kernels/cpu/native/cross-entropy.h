#pragma once

#include <cmath>

#include "functions.h"
#include "rows.h"

namespace {

/** −log softmax(row)[target] per row. */
void crossEntropy(Pool &pool, const float *logits, const uint32_t *targets, float *out, Index m, Index n) {
  byRows(pool, m, n, [&](Index row) {
    const float *from = logits + row * n;
    float top = from[n - 1];
    Floats most = all(top);
    for (Index i = 0; i + lanes <= n; i += lanes) most = larger(load(from + i), most);
    top = largest(most);
    for (Index i = n / lanes * lanes; i < n; i++) top = from[i] > top ? from[i] : top;
    const double sum = total(n, [&](Index i, Index count) { return firstLanes(exponential(loadUpTo(from + i, count) - top), count); });
    out[row] = float(std::log(sum) + top - from[targets[row]]);
  });
}

}  // namespace
