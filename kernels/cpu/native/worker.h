// One engine's thread and pool: commands that were written down, and operations at once.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "commands.h"

namespace fewbit {

/**
 * Runs one thing at a time, in the order of their coming. While JavaScript goes on, commands run on a thread of the engine's own: always the same one, since
 * a thread that wakes on the core of another costs both a slice of time.
 */
class Worker {
 public:
  Worker(int threads, const Kernels &kernels) : kernels(kernels), pool(threads), runner([this] { serve(); }) {}

  /** Ends after what was asked to be finished. */
  ~Worker() {
    {
      std::lock_guard<std::mutex> lock(listed);
      stopped = true;
    }
    asked.notify_one();
    runner.join();
  }

  void submit(const double *commands, size_t count) {
    std::lock_guard<std::mutex> lock(listed);
    waiting.emplace_back(commands, commands + count);
  }

  /** body(pool, kernels), after all commands that were submitted before. */
  template <class Body>
  auto run(Body body) {
    std::lock_guard<std::mutex> lock(running);
    std::vector<double> commands;
    while (next(commands)) runCommands(pool, kernels, commands.data(), commands.data() + commands.size());
    return body(pool, kernels);
  }

  /** Runs what was submitted on the thread of its own; `whenDone` is called from there, with nothing or with what was wrong. */
  void finish(std::function<void(std::string)> whenDone) {
    {
      std::lock_guard<std::mutex> lock(listed);
      finishes.push_back(std::move(whenDone));
    }
    asked.notify_one();
  }

  const Kernels &kernels;

 private:
  bool next(std::vector<double> &commands) {
    std::lock_guard<std::mutex> lock(listed);
    if (waiting.empty()) return false;
    commands = std::move(waiting.front());
    waiting.pop_front();
    return true;
  }

  void serve() {
    for (;;) {
      std::function<void(std::string)> whenDone;
      {
        std::unique_lock<std::mutex> lock(listed);
        asked.wait(lock, [this] { return stopped || !finishes.empty(); });
        if (finishes.empty()) return;
        whenDone = std::move(finishes.front());
        finishes.pop_front();
      }
      std::string wrong;
      try {
        run([](Pool &, const Kernels &) {});
      } catch (const std::exception &error) {
        wrong = error.what();
      }
      whenDone(std::move(wrong));
    }
  }

  Pool pool;
  std::mutex running, listed;
  std::condition_variable asked;
  std::deque<std::vector<double>> waiting;
  std::deque<std::function<void(std::string)>> finishes;
  bool stopped = false;
  std::thread runner;
};

}  // namespace fewbit
