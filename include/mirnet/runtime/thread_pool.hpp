// A ready scheduler for applications that have none: threads that share out the items of a call as they become free,
// and sleep when there are no calls. To wake a thread costs as much as a small layer, so one that has nothing to do
// looks for more for some microseconds first: between two layers of a network nobody sleeps.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include <mirnet/runtime/parallel.hpp>
#include <mirnet/runtime/usable_cores.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Converts to ParallelFor. The calling thread works too, so a pool of n starts n - 1 threads. One call at a time: a
/// second caller waits for the first.
class ThreadPool {
 public:
  /// 0: as many as there are usable_cores(). Where the system gives fewer, the pool has fewer: see workers(). (Without
  /// exceptions, the standard library ends the program then.)
  explicit ThreadPool(Index threads = 0) {
    if (threads <= 0) threads = usable_cores();
#if defined(__MINGW32__)
    // MinGW's locks allocate at their first use, and a run must not allocate.
    { std::lock_guard const lock(calls_); }
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, std::chrono::seconds(0));
      done_.wait_for(lock, std::chrono::seconds(0));
    }
#endif
#if MIRNET_EXCEPTIONS
    try {
#endif
      threads_.reserve(static_cast<std::size_t>(threads - 1));
      for (Index worker = 1; worker < threads; ++worker) threads_.emplace_back([this, worker] { serve(worker); });
#if MIRNET_EXCEPTIONS
    } catch (...) {  // no more threads, or no memory for one: those that run must not be left alone
    }
#endif
  }
  ThreadPool(ThreadPool const&) = delete;
  ThreadPool& operator=(ThreadPool const&) = delete;
  ~ThreadPool() {
    stopping_ = true;
    {
      std::lock_guard const lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  Index workers() const noexcept { return static_cast<Index>(threads_.size()) + 1; }

  operator ParallelFor() noexcept {
    return {[](void* self, Index count, ParallelFor::Task task, void* arguments) noexcept {
              static_cast<ThreadPool*>(self)->run(count, task, arguments);
            },
            this, workers()};
  }

 private:
  void run(Index count, ParallelFor::Task task, void* arguments) noexcept {
    std::lock_guard const one_call(calls_);
    task_ = task;
    arguments_ = arguments;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(static_cast<Index>(threads_.size()), std::memory_order_relaxed);
    bool somebody_sleeps;
    {
      std::lock_guard const lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
      somebody_sleeps = sleeping_ > 0;
    }
    if (somebody_sleeps) wake_.notify_all();
    work(0);
    auto const all_done = [this] { return busy_.load(std::memory_order_acquire) == 0; };
    if (soon(all_done)) return;
    std::unique_lock lock(mutex_);
    done_.wait(lock, all_done);
  }

  void work(Index worker) noexcept {
    for (Index item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) task_(arguments_, item, worker);
  }

  void serve(Index worker) noexcept {
    for (unsigned seen = 0;;) {
      auto const called = [&] { return generation_.load(std::memory_order_acquire) != seen; };
      if (!soon(called)) {
        std::unique_lock lock(mutex_);
        ++sleeping_;
        wake_.wait(lock, called);
        --sleeping_;
      }
      seen = generation_.load(std::memory_order_acquire);
      if (stopping_) return;
      work(worker);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard const lock(mutex_);  // the caller either has not looked yet, or sleeps
        done_.notify_one();
      }
    }
  }

  /// Whether `condition` comes true in a moment; others may have the core meanwhile.
  template <class Condition>
  static bool soon(Condition const& condition) noexcept {
    if (condition()) return true;
    auto const end = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
    do {
      std::this_thread::yield();
      if (condition()) return true;
    } while (std::chrono::steady_clock::now() < end);
    return false;
  }

  std::mutex calls_, mutex_;
  std::condition_variable wake_, done_;
  // Written before generation_ changes, and not again until nobody is busy.
  ParallelFor::Task task_ = nullptr;
  void* arguments_ = nullptr;
  Index count_ = 0;
  bool stopping_ = false;
  std::atomic<Index> next_ = 0, busy_ = 0;
  std::atomic<unsigned> generation_ = 0;  // changes under mutex_, as sleepers wait for it
  Index sleeping_ = 0;                    // under mutex_
  std::vector<std::thread> threads_;
};

}  // namespace mirnet::inline MIRNET_ABI
