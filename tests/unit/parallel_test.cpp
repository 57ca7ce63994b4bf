// The thread pool, and the default that has no threads.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <mirnet/runtime/thread_pool.hpp>

using namespace mirnet;

namespace {

struct Outcome {
  bool each_once = true, workers_in_range = true, workers_alone = true;
};

/// What a scheduler does with `count` items that take a little time each.
Outcome run(ParallelFor const& parallel, Index count) {
  // Not of doctest's macros, which are slow and would put the threads in step.
  std::vector<std::atomic<int>> done(static_cast<std::size_t>(count));
  std::vector<std::atomic<bool>> busy(static_cast<std::size_t>(parallel.workers));
  std::atomic<bool> in_range = true, alone = true;
  parallel(count, [&](Index item, Index worker) {
    if (worker < 0 || worker >= parallel.workers) {
      in_range = false;
      return;
    }
    auto& mine = busy[static_cast<std::size_t>(worker)];
    if (mine.exchange(true)) alone = false;
    if (item % 3 == 0) std::this_thread::yield();
    ++done[static_cast<std::size_t>(item)];
    mine = false;
  });
  Outcome outcome{.workers_in_range = in_range, .workers_alone = alone};
  for (auto const& times : done) outcome.each_once = outcome.each_once && times == 1;
  return outcome;
}

void check(ParallelFor const& parallel) {
  for (Index const count : {0, 1, 2, 3, 7, 8, 100, 5000}) {
    CAPTURE(count);
    auto const outcome = run(parallel, count);
    CHECK(outcome.each_once);
    CHECK(outcome.workers_in_range);
    CHECK(outcome.workers_alone);
  }
}

}  // namespace

TEST_CASE("a pool runs each item once, and no two at a time with one worker") {
  for (Index const threads : {1, 2, 3, 7}) {
    CAPTURE(threads);
    ThreadPool pool(threads);
    CHECK(pool.workers() == threads);
    check(pool);
  }
}

TEST_CASE("without a pool, items run in order in the calling thread") {
  check(ParallelFor{});
  std::vector<Index> order;
  ParallelFor{}(4, [&](Index item, Index worker) {
    CHECK(worker == 0);
    order.push_back(item);
  });
  CHECK(order == std::vector<Index>{0, 1, 2, 3});
}

TEST_CASE("ten thousand small calls") {
  ThreadPool pool(3);
  ParallelFor const parallel = pool;
  Index wrong = 0;
  for (Index call = 0; call < 10000; ++call) {
    std::atomic<Index> sum = 0;
    Index const count = call % 5;
    parallel(count, [&](Index item, Index) { sum += item + 1; });
    wrong += sum != count * (count + 1) / 2;
  }
  CHECK(wrong == 0);
}

TEST_CASE("what the items wrote is there when a call returns") {
  ThreadPool pool(2);
  ParallelFor const parallel = pool;
  std::vector<Index> squares(1000);  // plain memory: a sanitizer sees if nothing orders the accesses
  parallel(1000, [&](Index item, Index) { squares[static_cast<std::size_t>(item)] = item * item; });
  Index wrong = 0;
  for (Index i = 0; i < 1000; ++i) wrong += squares[static_cast<std::size_t>(i)] != i * i;
  CHECK(wrong == 0);
}

TEST_CASE("two callers of one pool take turns") {
  ThreadPool pool(2);
  std::atomic<Index> calls = 0;
  std::atomic<bool> right = true;
  auto const call = [&] {
    for (int i = 0; i < 500; ++i) {
      auto const outcome = run(pool, 9);
      if (!outcome.each_once || !outcome.workers_alone) right = false;
      ++calls;
    }
  };
  std::thread other(call);
  call();
  other.join();
  CHECK(right);
  CHECK(calls == 1000);
}

TEST_CASE("a pool without a number of threads has some, and one that was never used ends") {
  CHECK(ThreadPool().workers() >= 1);
  ThreadPool const unused(7);
  CHECK(unused.workers() == 7);
}
