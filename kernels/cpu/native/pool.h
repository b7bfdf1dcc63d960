// Persistent threads that share the tasks of one job at a time. They spin briefly between jobs, then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "places.h"

namespace fewbit {

using Index = int64_t;

/**
 * Memory that begins at a cache line. Large blocks are mappings of their own, of huge pages where the system has them: what is freed goes back to the
 * system. Throws std::bad_alloc.
 */
char *allocateLines(size_t bytes);
/** `bytes` as they were asked for. */
void freeLines(char *memory, size_t bytes);

/** A block that grows as needed; a large one is given back when little is asked for. */
class Scratch {
 public:
  Scratch() = default;
  Scratch(Scratch &&other) noexcept : memory(other.memory), size(other.size) { other.memory = nullptr, other.size = 0; }
  ~Scratch() { freeLines(memory, size); }
  char *reserve(size_t bytes);
  char *at() const { return memory; }

 private:
  char *memory = nullptr;
  size_t size = 0;
};

class Pool {
 public:
  using Body = void (*)(void *context, Index task, char *scratch);

  explicit Pool(int threads);
  ~Pool();

  int threads() const { return static_cast<int>(workers.size()) + 1; }

  /**
   * Runs tasks 0 … tasks − 1 on all threads, the caller's too; returns when all are done. Who takes a task is left to chance, so a task must
   * not depend on it. `scratchBytes`: memory of the thread's own, of any content.
   */
  void run(Index tasks, size_t scratchBytes, Body body, void *context);

  /** The caller's memory for one operation, of any content: valid until the next call. */
  char *workspace(size_t bytes) { return shared.reserve(bytes); }

 private:
  void serve(int thread);
  void takeTasks(uint32_t generation, int thread);

  std::vector<std::thread> workers;
  std::vector<Scratch> scratches;
  std::vector<Place> places;
  Scratch shared;

  // The generation of the job in the high half, how many tasks nobody took yet in the low half. A late thread must see from this word alone that its
  // job is over: the others may be the next job's already.
  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<Index> unfinished{0};
  alignas(64) std::atomic<Index> tasks{0};
  std::atomic<Body> body{nullptr};
  std::atomic<void *> context{nullptr};
  std::atomic<int> sleeping{0};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::condition_variable wake;
};

}  // namespace fewbit
