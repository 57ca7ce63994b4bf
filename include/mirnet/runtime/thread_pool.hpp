// A ready scheduler for applications that have none: threads that sleep between calls and share out the items of a
// call as they become free.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include <mirnet/runtime/parallel.hpp>

namespace mirnet::inline v0 {

/// Converts to ParallelFor. The calling thread works too, so a pool of n starts n - 1 threads. One call at a time: a
/// second caller waits for the first.
class ThreadPool {
 public:
  /// 0: as many as the machine runs at once.
  explicit ThreadPool(Index threads = 0) {
    if (threads <= 0) threads = static_cast<Index>(std::max(1u, std::thread::hardware_concurrency()));
    for (Index worker = 1; worker < threads; ++worker) threads_.emplace_back([this, worker] { serve(worker); });
  }
  ThreadPool(ThreadPool const&) = delete;
  ThreadPool& operator=(ThreadPool const&) = delete;
  ~ThreadPool() {
    {
      std::lock_guard const lock(mutex_);
      stopping_ = true;
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
    {
      std::lock_guard const lock(mutex_);
      task_ = task;
      arguments_ = arguments;
      count_ = count;
      next_.store(0, std::memory_order_relaxed);
      busy_ = static_cast<Index>(threads_.size());
      ++generation_;
    }
    wake_.notify_all();
    work(0);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

  void work(Index worker) noexcept {
    for (Index item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) task_(arguments_, item, worker);
  }

  void serve(Index worker) noexcept {
    std::unique_lock lock(mutex_);
    for (unsigned seen = 0;;) {
      wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      lock.unlock();
      work(worker);
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex calls_, mutex_;
  std::condition_variable wake_, done_;
  // Written under mutex_ before the workers are woken, and not again until all of them are done.
  ParallelFor::Task task_ = nullptr;
  void* arguments_ = nullptr;
  Index count_ = 0;
  std::atomic<Index> next_ = 0;
  Index busy_ = 0;
  unsigned generation_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace mirnet::inline v0
