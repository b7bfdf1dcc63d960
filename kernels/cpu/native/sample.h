// Tokens drawn from rows of logits (Draw of @fewbit/kernels says how; sample-token.ts there is the definition).
#pragma once

#include <algorithm>
#include <cmath>

#include "functions.h"
#include "rows.h"

namespace {

using fewbit::Draw;

/** A place in the order of tokens: by falling logits, and by rising ids among equals. */
struct Place {
  float logit;
  Index token;
};

/** One row of finite logits, or of −Inf. */
class DrawnRow {
 public:
  DrawnRow(const float *logits, Index n, float top, const Draw &draw) : logits(logits), n(n), top(top), draw(draw) {}

  Index token() {
    const auto ones = [](Floats) { return all(1.f); };
    const auto weights = [this](Floats values) { return weightsOf(values); };
    const auto likely = [this](Floats values) {
      const Floats found = weightsOf(values);
      return found >= draw.minP ? found : Floats{};
    };
    if (draw.topK > 0 && draw.topK < n) last = lastOf(ones, double(draw.topK));
    if (draw.topP < 1) last = lastOf(weights, draw.topP * total(weights));
    double left = draw.uniform * total(likely);
    Index drawn = 0;
    visit(likely, [&](Index token, float, float weight) {
      if (weight == 0) return true;
      drawn = token;
      left -= weight;
      return left >= 0;
    });
    return drawn;  // rounding can leave a sliver after the last one
  }

 private:
  const float *logits;
  const Index n;
  const float top;
  const Draw &draw;
  Place last{-INFINITY, n};

  /** Relative to the likeliest token's; 0 below e⁻⁸⁷. */
  Floats weightsOf(Floats values) const {
    const Floats x = (values - top) / draw.temperature;
    return x < -87.f ? Floats{} : exponential(x);
  }

  /** of(token, logit, its measure) for the tokens up to `last`, by rising ids, until it says false; tokens below `least` may be left out. */
  template <class Measure, class Of>
  void visit(Measure measure, Of of, float least = -INFINITY) const {
    const float lowest = least > last.logit ? least : last.logit;
    for (Index first = 0; first < n; first += lanes) {
      const Index count = smallerOf(lanes, n - first);
      float values[lanes], measures[lanes];
      const Floats v = count == lanes ? load(logits + first) : loadUpTo(logits + first, count);
      if (count == lanes && largest(v) < lowest) continue;
      store(values, v);
      store(measures, Floats(measure(v)));
      for (Index i = 0; i < count; i++) {
        const Index token = first + i;
        if (values[i] < last.logit || (values[i] == last.logit && token > last.token)) continue;
        if (!of(token, values[i], measures[i])) return;
      }
    }
  }

  template <class Measure>
  double total(Measure measure) const {
    double sum = 0;
    visit(measure, [&](Index, float, float value) {
      sum += value;
      return true;
    });
    return sum;
  }

  /** A whole number in the order of the floats; one for both zeros. */
  static uint32_t keyOf(float logit) {
    uint32_t word;
    const float plain = logit == 0 ? 0 : logit;
    __builtin_memcpy(&word, &plain, sizeof word);
    return word ^ (uint32_t(int32_t(word) >> 31) | 0x80000000u);
  }

  static float logitOf(uint32_t key) {
    const uint32_t word = key >> 31 ? key ^ 0x80000000u : ~key;
    float logit;
    __builtin_memcpy(&logit, &word, sizeof logit);
    return logit;
  }

  /** The last of the fewest tokens, in their order, whose measures add up to `enough`: by the digits of their logits, as a radix sort would go. */
  template <class Measure>
  Place lastOf(Measure measure, double enough) const {
    uint32_t key = 0;
    double held = 0;
    float least = -INFINITY;
    for (const int shift : {21, 10, 0}) {
      const int bits = shift == 0 ? 10 : 11;
      double sums[1 << 11] = {};
      visit(measure, [&](Index, float logit, float value) {
        const uint32_t own = keyOf(logit);
        if (uint64_t(own) >> (shift + bits) == key) sums[own >> shift & ((1u << bits) - 1)] += value;
        return true;
      }, least);
      int lowest = 0, digit = (1 << bits) - 1;
      while (lowest < digit && !(sums[lowest] > 0)) lowest++;
      for (; digit > lowest && held + sums[digit] < enough; digit--) held += sums[digit];
      key = key << bits | uint32_t(digit);
      least = logitOf(key << shift);
    }
    Place place{};
    visit(measure, [&](Index token, float logit, float value) {
      if (keyOf(logit) != key) return true;
      place = {logit, token};
      held += value;
      return held < enough;
    }, least);
    return place;
  }
};

/** The largest of finite logits and −Inf; NaN where there are others, or no finite one. */
inline float largestOf(const float *logits, Index n) {
  const Index whole = n / lanes * lanes;
  Floats most = all(-INFINITY);
  Ints unordered = {};
  for (Index i = 0; i < whole; i += lanes) {
    const Floats v = load(logits + i);
    unordered |= v != v;
    most = larger(v, most);
  }
  float top = largest(most);
  bool ordered = true;
  for (int i = 0; i < lanes; i++) ordered &= unordered[i] == 0;
  for (Index i = whole; i < n; i++) {
    ordered &= logits[i] == logits[i];
    top = logits[i] > top ? logits[i] : top;
  }
  return ordered && std::isfinite(top) ? top : NAN;
}

/** out[row] = the token drawn from row `row` of logits [m, n], or NaN where `largestOf` is. */
void sample(Pool &pool, const float *logits, const Draw *draws, float *out, Index m, Index n) {
  byRows(pool, m, n, [&](Index row) {
    const float *from = logits + row * n;
    const float top = largestOf(from, n);
    if (top != top) out[row] = top;
    else if (draws[row].temperature == 0) out[row] = float(std::find(from, from + n, top) - from);
    else out[row] = float(DrawnRow(from, n, top, draws[row]).token());
  });
}

}  // namespace
