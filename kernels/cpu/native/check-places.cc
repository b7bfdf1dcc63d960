// A program of its own for Linux: jobs of two tasks that wait for each other. Before each job the other thread goes to the processor of the caller, which
// stays where it is, and before every second job it falls asleep there. Prints in how many of 100 jobs both tasks began on one processor.
#include <chrono>
#include <cstdio>

#include "pool.h"

namespace {

struct Job {
  std::thread::id caller;
  std::atomic<int> begun{0};
  int processors[2];
};

void stayOn(int processor) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(processor, &only);
  sched_setaffinity(0, sizeof only, &only);
}

void meet(void *at, fewbit::Index task, char *) {
  Job &job = *static_cast<Job *>(at);
  job.processors[task] = sched_getcpu();
  job.begun++;
  while (job.begun < 2) sched_yield();
  if (std::this_thread::get_id() == job.caller) return;
  cpu_set_t before;
  sched_getaffinity(0, sizeof before, &before);
  stayOn(job.processors[1 - task]);
  sched_setaffinity(0, sizeof before, &before);
}

}  // namespace

int main() {
  fewbit::Pool pool(2);
  int together = 0;
  for (int i = 0; i <= 100; i++) {
    Job job;
    job.caller = std::this_thread::get_id();
    pool.run(2, 0, meet, &job);
    // the first job only starts the thread
    if (i == 0) stayOn(sched_getcpu());
    else together += job.processors[0] == job.processors[1];
    if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::printf("%d\n", together);
}
