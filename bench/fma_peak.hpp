// What one core can do at most: multiply-adds a second from registers alone, for each instruction set. Assembly,
// because a compiler turns a loop of C++ into something else: too slow at -O2, too good to be true at -O3.
#pragma once

#include <algorithm>
#include <barrier>
#include <chrono>
#include <string_view>
#include <thread>
#include <vector>

namespace bench {

#if defined(__x86_64__)
// Twelve chains keep two units busy for up to six cycles of latency.
#define MIRNET_CHAINS(instruction, r)                                                                                 \
  instruction " %%" r "15, %%" r "14, %%" r "0\n" instruction " %%" r "15, %%" r "14, %%" r "1\n" instruction " %%" r \
              "15, %%" r "14, %%" r "2\n" instruction " %%" r "15, %%" r "14, %%" r "3\n" instruction " %%" r         \
              "15, %%" r "14, %%" r "4\n" instruction " %%" r "15, %%" r "14, %%" r "5\n" instruction " %%" r         \
              "15, %%" r "14, %%" r "6\n" instruction " %%" r "15, %%" r "14, %%" r "7\n" instruction " %%" r         \
              "15, %%" r "14, %%" r "8\n" instruction " %%" r "15, %%" r "14, %%" r "9\n" instruction " %%" r         \
              "15, %%" r "14, %%" r "10\n" instruction " %%" r "15, %%" r "14, %%" r "11\n"
// Without fused instructions a multiplication and an addition can start together: six chains of each.
#define MIRNET_PAIR(a, b) "mulps %%xmm15, %%xmm" a "\naddps %%xmm14, %%xmm" b "\n"
#define MIRNET_SEPARATE \
  MIRNET_PAIR("0", "1") \
  MIRNET_PAIR("2", "3") MIRNET_PAIR("4", "5") MIRNET_PAIR("6", "7") MIRNET_PAIR("8", "9") MIRNET_PAIR("10", "11")
#define MIRNET_LOOP(zeros, body)                                                                                   \
  asm volatile(zeros "1:\n" body "dec %0\njnz 1b"                                                                  \
               : "+r"(n)                                                                                           \
               :                                                                                                   \
               : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
                 "xmm14", "xmm15", "cc")

/// GFLOP/s of one core: two operations for each lane of a fused multiply-add; for sse2, which has none, one for each
/// lane of a multiplication and of an addition. The best of a few tries, about 20 ms: short enough to be repeated
/// beside every measurement, because the clock of a machine drifts.
inline double fma_peak(std::string_view isa) {
  constexpr long iterations = 1'000'000;
  double best = 0.0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    long n = iterations;
    double operations = 12;  // an iteration
    auto const start = std::chrono::steady_clock::now();
    if (isa.starts_with("avx512")) {
      MIRNET_LOOP("vpxord %%zmm14, %%zmm14, %%zmm14\nvpxord %%zmm15, %%zmm15, %%zmm15\n",
                  MIRNET_CHAINS("vfmadd231ps", "zmm"));
      operations *= 2 * 16;
    } else if (isa == "avx2") {
      MIRNET_LOOP("vxorps %%ymm14, %%ymm14, %%ymm14\nvxorps %%ymm15, %%ymm15, %%ymm15\n",
                  MIRNET_CHAINS("vfmadd231ps", "ymm"));
      operations *= 2 * 8;
    } else {
      MIRNET_LOOP("xorps %%xmm14, %%xmm14\nxorps %%xmm15, %%xmm15\n", MIRNET_SEPARATE);
      operations *= 4;
    }
    std::chrono::duration<double> const time = std::chrono::steady_clock::now() - start;
    best = std::max(best, operations * static_cast<double>(iterations) / time.count() * 1e-9);
  }
  return best;
}
#undef MIRNET_CHAINS
#undef MIRNET_PAIR
#undef MIRNET_SEPARATE
#undef MIRNET_LOOP
#else
/// There is no loop for this architecture: 0, and shares of the peak are left out.
inline double fma_peak(std::string_view) { return 0.0; }
#endif

/// Of so many cores at work together: they may share a power budget, or be two halves of one core.
inline double fma_peak(std::string_view isa, int threads) {
  std::vector<double> peaks(static_cast<std::size_t>(threads));
  std::barrier start(threads);
  auto const measure = [&](std::size_t thread) {
    start.arrive_and_wait();
    peaks[thread] = fma_peak(isa);
  };
  std::vector<std::jthread> others;
  for (std::size_t thread = 1; thread < peaks.size(); ++thread) others.emplace_back(measure, thread);
  measure(0);
  others.clear();  // waits for them
  double sum = 0.0;
  for (double const peak : peaks) sum += peak;
  return sum;
}

}  // namespace bench
