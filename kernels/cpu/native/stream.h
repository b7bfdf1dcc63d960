#pragma once

#include "vector.h"

namespace {

/** The exclusive or of all words: memory read as fast as it comes. */
int32_t stream(Pool &pool, const float *x, Index count) {
  constexpr Index share = 262144;
  int32_t result = 0;
  parallel(pool, quotientUp(count, share), 0, [&](Index task, char *) {
    const float *from = x + task * share;
    const Index length = smallerOf(share, count - task * share);
    Ints words[4] = {};
    Index i = 0;
    for (; i + 4 * lanes <= length; i += 4 * lanes) {
      for (int line = 0; line < 4 * lanes; line += 16) __builtin_prefetch(from + i + line + 1024);
#pragma GCC unroll 4
      for (int part = 0; part < 4; part++) words[part] ^= bits(load(from + i + part * lanes));
    }
    for (; i < length; i += lanes) words[0] ^= bits(loadUpTo(from + i, smallerOf(lanes, length - i)));
    const Ints all = (words[0] ^ words[1]) ^ (words[2] ^ words[3]);
    int32_t word = 0;
    for (int lane = 0; lane < lanes; lane++) word ^= all[lane];
    __atomic_fetch_xor(&result, word, __ATOMIC_RELAXED);
  });
  return result;
}

}  // namespace
