// What the memory can do: the bytes a second of a[i] = b[i] + s * c[i] over arrays that no cache holds.
#pragma once

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <thread>
#include <vector>

namespace measure {

struct Bandwidth {
  double gigabytes_a_second = 0;  ///< 0: there was no memory for the arrays
  std::size_t bytes = 0;          ///< of all three arrays
};

/// Of so many threads at once, each with its part of arrays of `bytes` together; the best of a few passes. Two readings
/// and a writing count for each element, as is the custom; most processors read what they are about to write, too.
inline Bandwidth triad(int threads, std::size_t bytes) {
  std::size_t const each = std::max<std::size_t>(bytes / 3 / sizeof(float) / static_cast<std::size_t>(threads), 1);
  std::size_t const count = each * static_cast<std::size_t>(threads);
  // Not initialised here: a page lies with the processor that touches it first.
  std::unique_ptr<float[]> const memory(new (std::nothrow) float[3 * count]);
  if (!memory) return {};
  constexpr std::size_t passes = 6;
  using Clock = std::chrono::steady_clock;
  struct Pass {
    Clock::time_point begin, end;
  };
  std::vector<Pass> measured(passes * static_cast<std::size_t>(threads));  // by thread
  std::barrier together(threads);
  auto const work = [&](std::size_t thread) {
    float* const a = memory.get() + thread * each;
    float* const b = a + count;
    float* const c = b + count;
    std::fill_n(a, each, 0.0f);
    std::fill_n(b, each, 1.0f);
    std::fill_n(c, each, 2.0f);
    for (std::size_t pass = 0; pass < passes; ++pass) {
      together.arrive_and_wait();
      auto& own = measured[thread * passes + pass];
      own.begin = Clock::now();
      for (std::size_t i = 0; i < each; ++i) a[i] = b[i] + 0.5f * c[i];
      asm volatile("" : : "r"(a) : "memory");
      own.end = Clock::now();
    }
  };
  std::vector<std::jthread> others;
  for (std::size_t thread = 1; thread < static_cast<std::size_t>(threads); ++thread) others.emplace_back(work, thread);
  work(0);
  others.clear();  // waits for them
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t pass = 0; pass < passes; ++pass) {
    // From the first to begin to the last to end: one of them may have had to wait for its core.
    Pass whole = measured[pass];
    for (std::size_t i = pass; i < measured.size(); i += passes) {
      whole = {std::min(whole.begin, measured[i].begin), std::max(whole.end, measured[i].end)};
    }
    best = std::min(best, std::chrono::duration<double>(whole.end - whole.begin).count());
  }
  std::size_t const moved = 3 * count * sizeof(float);
  return {static_cast<double>(moved) * 1e-9 / best, moved};
}

}  // namespace measure
