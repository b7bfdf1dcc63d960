// Which processor each thread of a pool is on, so that their caller can keep them off its own: two that a scheduler puts on one processor share it until
// the scheduler looks again, which is milliseconds later, and longer on a busy machine.
#pragma once

#include <atomic>

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace fewbit {

#if defined(__linux__)

/** Where one thread is: it says so itself, and its caller may send it elsewhere. */
class Place {
 public:
  static int here() { return sched_getcpu(); }

  /** By the thread, once. */
  void enter() {
    note();
    thread = static_cast<pid_t>(syscall(SYS_gettid));
  }

  /** By the thread, while it is awake. */
  void note() { processor = here(); }

  /** By the thread, before it sleeps. */
  void sleep() { processor = asleep; }

  /** By the thread, after it slept. */
  void wake() {
    note();
    if (barred.exchange(false)) sched_setaffinity(0, sizeof processors, &processors);
  }

  /** By the caller, who is on processor `mine`: a thread that sleeps will wake up on another one, and a thread that waits for this one moves at once. */
  void keepOff(int mine) {
    const int at = processor;
    if (thread == 0 || (at != asleep && at != mine)) return;
    // Where it may run is asked each time, since people change it; while it is barred, what was said before holds.
    if (!barred && sched_getaffinity(thread, sizeof processors, &processors) != 0) return;
    cpu_set_t others = processors;
    CPU_CLR(mine, &others);
    if (CPU_COUNT(&others) == 0 || sched_setaffinity(thread, sizeof others, &others) != 0) return;
    if (at == asleep) barred = true;
    else sched_setaffinity(thread, sizeof processors, &processors);
  }

 private:
  static constexpr int asleep = -1;
  /** 0 for no thread. */
  std::atomic<pid_t> thread{0};
  std::atomic<int> processor{0};
  std::atomic<bool> barred{false};
  /** Where the thread may run when it is not barred. */
  cpu_set_t processors;
};

#else

/** Elsewhere the scheduler is left to itself. */
class Place {
 public:
  static int here() { return 0; }
  void enter() {}
  void note() {}
  void sleep() {}
  void wake() {}
  void keepOff(int) {}
};

#endif

}  // namespace fewbit
