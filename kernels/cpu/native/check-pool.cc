// A program of its own: small jobs, one after the other, on the threads given. Each task of each job must run once, before `run` returns. Prints how many
// jobs were wrong and exits with 1, or prints nothing.
#include <cstdio>
#include <cstdlib>

#include "pool.h"

int main(int, char **words) {
  constexpr int most = 16;
  fewbit::Pool pool(std::atoi(words[1]));
  int wrong = 0;
  for (int job = 0; job < 300000; job++) {
    std::atomic<int> runs[most] = {};
    // Jobs longer than the one before are those that a late thread could mistake for its own.
    const int tasks = 2 + job * 7 % (most - 2);
    pool.run(tasks, 0, [](void *at, fewbit::Index task, char *) { static_cast<std::atomic<int> *>(at)[task]++; }, runs);
    bool right = true;
    for (int task = 0; task < most; task++) right = right && runs[task] == (task < tasks);
    wrong += !right;
  }
  if (wrong > 0) std::printf("%d of 300000 jobs on %s threads were wrong\n", wrong, words[1]);
  return wrong > 0;
}
