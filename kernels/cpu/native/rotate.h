// Rotary position embedding (Su et al. 2021, eq. 34) in half-split order; features past 2·pairs stay.
#pragma once

#include <cmath>

#include "rows.h"

namespace {

void rotate(Pool &pool, const float *x, float *out, Index m, Index width, Index headSize, const float *frequencies, Index pairs,
            double amplitude, Index start) {
  const Index share = largerOf(1, taskValues / 4 / width);
  parallel(pool, quotientUp(m, share), 2 * pairs * sizeof(float), [&](Index task, char *scratch) {
    float *cosines = reinterpret_cast<float *>(scratch), *sines = cosines + pairs;
    for (Index row = task * share; row < smallerOf((task + 1) * share, m); row++) {
      for (Index p = 0; p < pairs; p++) {
        const double angle = double(start + row) * double(frequencies[p]);
        cosines[p] = float(std::cos(angle) * amplitude);
        sines[p] = float(std::sin(angle) * amplitude);
      }
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
    }
  });
}

}  // namespace
