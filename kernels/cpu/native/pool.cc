#include "pool.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(_WIN32)
#if !defined(NOMINMAX)
#define NOMINMAX
#endif
#include <malloc.h>
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#endif

namespace fewbit {

namespace {

constexpr size_t line = 64;
constexpr size_t hugePage = size_t(2) << 20;
constexpr size_t large = size_t(64) << 20;
/** How long threads stay awake: longer than what lies between two tokens, since waking a thread takes longer than a small op, and may put two on one core. */
constexpr auto patience = std::chrono::milliseconds(2);

#if defined(_WIN32)
void *allocateSmall(size_t bytes) { return _aligned_malloc(bytes, line); }
void freeSmall(void *memory) { _aligned_free(memory); }
void *map(size_t bytes) { return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
void unmap(void *memory, size_t) { VirtualFree(memory, 0, MEM_RELEASE); }
#else
void *allocateSmall(size_t bytes) {
  void *memory = nullptr;
  return posix_memalign(&memory, line, bytes) == 0 ? memory : nullptr;
}
void freeSmall(void *memory) { free(memory); }

size_t wholePages(size_t bytes) {
  static const size_t page = size_t(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

/** Begins at a huge page, of which the last one may be small pages: only what is used takes memory. */
void *map(size_t bytes) {
  const size_t size = wholePages(bytes);
#if defined(__GLIBC__)
  malloc_trim(0);  // the arrays that JavaScript let go of, such as those of a weight that was read: glibc would keep tens of megabytes
#endif
  void *reserved = mmap(nullptr, size + hugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  char *begin = static_cast<char *>(reserved);
  const size_t before = (hugePage - reinterpret_cast<uintptr_t>(begin) % hugePage) % hugePage;
  if (before > 0) munmap(begin, before);
  if (before < hugePage) munmap(begin + before + size, hugePage - before);
#if defined(__linux__)
  madvise(begin + before, size, MADV_HUGEPAGE);
#endif
  return begin + before;
}
void unmap(void *memory, size_t bytes) { munmap(memory, wholePages(bytes)); }
#endif

inline void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/** Waits awake until ready(), or for as long as patience lasts; calls between() now and then. */
template <class Ready, class Between>
inline void waitAwake(Ready ready, Between between) {
  constexpr int looks = 256;
  const auto begin = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < looks; i++) {
      if (ready()) return;
      relax();
    }
    between();
  } while (std::chrono::steady_clock::now() - begin < patience);
}

}  // namespace

char *allocateLines(size_t bytes) {
  void *memory = bytes >= hugePage ? map(bytes) : allocateSmall(bytes > 0 ? bytes : line);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<char *>(memory);
}

void freeLines(char *memory, size_t bytes) {
  if (memory == nullptr) return;
  if (bytes >= hugePage) unmap(memory, bytes);
  else freeSmall(memory);
}

char *Scratch::reserve(size_t bytes) {
  if (bytes > size || (size > large && bytes < size / 4)) {
    freeLines(memory, size);
    memory = nullptr;
    size = 0;
    memory = allocateLines(bytes);
    size = bytes;
  }
  return memory;
}

Pool::Pool(int threads) : places(threads) {
  scratches.resize(threads);
  for (int thread = 1; thread < threads; thread++) workers.emplace_back([this, thread] { serve(thread); });
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopped = true;
  }
  wake.notify_all();
  for (auto &worker : workers) worker.join();
}

void Pool::run(Index count, size_t scratchBytes, Body function, void *argument) {
  if (count <= 0) return;
  if (workers.empty() || count == 1) {
    char *scratch = scratches[0].reserve(scratchBytes);
    for (Index task = 0; task < count; task++) function(argument, task, scratch);
    return;
  }
  for (auto &scratch : scratches) scratch.reserve(scratchBytes);
  body.store(function, std::memory_order_relaxed);
  context.store(argument, std::memory_order_relaxed);
  tasks.store(count, std::memory_order_relaxed);
  unfinished.store(count, std::memory_order_relaxed);
  const uint32_t generation = static_cast<uint32_t>(ticket.load(std::memory_order_relaxed) >> 32) + 1;
  ticket.store(static_cast<uint64_t>(generation) << 32 | static_cast<uint64_t>(count));
  const int mine = Place::here();
  for (Place &place : places) place.keepOff(mine);
  if (sleeping.load() > 0) {
    std::lock_guard<std::mutex> lock(mutex);
    wake.notify_all();
  }
  takeTasks(generation, 0);
  const auto done = [this] { return unfinished.load(std::memory_order_acquire) <= 0; };
  if (done()) return;
  waitAwake(done, [] {});
  while (!done()) std::this_thread::yield();
}

void Pool::takeTasks(uint32_t generation, int thread) {
  for (;;) {
    uint64_t now = ticket.load(std::memory_order_acquire);
    if (static_cast<uint32_t>(now >> 32) != generation) return;
    const Index left = static_cast<Index>(now & 0xffffffff);
    if (left == 0) return;
    const Index task = tasks.load(std::memory_order_relaxed) - left;
    const Body function = body.load(std::memory_order_relaxed);
    void *argument = context.load(std::memory_order_relaxed);
    // A job with tasks left is not replaced, so what was read above is this job's if its ticket is still the same.
    if (!ticket.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel)) continue;
    function(argument, task, scratches[thread].at());
    unfinished.fetch_sub(1, std::memory_order_acq_rel);
  }
}

void Pool::serve(int thread) {
  uint32_t seen = 0;
  Place &place = places[thread];
  place.enter();
  const auto current = [this] { return static_cast<uint32_t>(ticket.load() >> 32); };
  for (;;) {
    waitAwake([&] { return current() != seen || stopped.load(std::memory_order_relaxed); }, [&] { place.note(); });
    if (current() == seen) {
      std::unique_lock<std::mutex> lock(mutex);
      sleeping++;
      place.sleep();
      wake.wait(lock, [&] { return stopped.load() || current() != seen; });
      sleeping--;
      lock.unlock();
      place.wake();
    }
    if (stopped) return;
    seen = current();
    place.note();
    takeTasks(seen, thread);
  }
}

}  // namespace fewbit
