// Rotary position embedding (Su et al. 2021, eq. 34) in half-split order; features past 2·pairs stay.
#pragma once

#include <cmath>
#include <vector>

#include "rows.h"

namespace {

/** Cosines and sines of the angles at positions start …, each row [2, pairs]. All layers turn by the same ones, so the last are kept. */
class Turns {
 public:
  const float *of(Pool &pool, Index m, const float *frequencies, Index pairs, double amplitude, Index start) {
    const bool known = start == firstRow && m <= rows && amplitude == factor && pairs == Index(angles.size()) &&
                       memcmp(frequencies, angles.data(), pairs * sizeof(float)) == 0;
    if (known) return values.data();
    rows = 0;
    angles.assign(frequencies, frequencies + pairs);
    values.resize(2 * pairs * m);
    byRows(pool, m, 16 * pairs, [&](Index row) {
      float *cosines = values.data() + 2 * pairs * row, *sines = cosines + pairs;
      for (Index p = 0; p < pairs; p++) {
        const double angle = double(start + row) * double(frequencies[p]);
        cosines[p] = float(std::cos(angle) * amplitude);
        sines[p] = float(std::sin(angle) * amplitude);
      }
    });
    firstRow = start;
    factor = amplitude;
    rows = m;
    return values.data();
  }

 private:
  std::vector<float> angles, values;
  double factor = 0;
  Index firstRow = 0, rows = 0;
};

void rotate(Pool &pool, const float *x, float *out, Index m, Index width, Index headSize, const float *frequencies, Index pairs,
            double amplitude, Index start) {
  static thread_local Turns last;
  const float *turns = last.of(pool, m, frequencies, pairs, amplitude, start);
  byRows(pool, m, 4 * width, [&](Index row) {
    const float *cosines = turns + 2 * pairs * row, *sines = cosines + pairs;
    for (Index head = row * width; head < (row + 1) * width; head += headSize) {
      const float *from = x + head;
      float *to = out + head;
      byVectors(pairs, [&](Index i, Index count) {
        const Floats a = loadUpTo(from + i, count), b = loadUpTo(from + pairs + i, count);
        const Floats cosine = loadUpTo(cosines + i, count), sine = loadUpTo(sines + i, count);
        storeUpTo(to + i, a * cosine - b * sine, count);
        storeUpTo(to + pairs + i, b * cosine + a * sine, count);
      });
      memcpy(to + 2 * pairs, from + 2 * pairs, (headSize - 2 * pairs) * sizeof(float));
    }
  });
}

}  // namespace
