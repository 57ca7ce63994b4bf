// What one core can do at most: multiply-adds a second from registers alone, for each instruction set. Assembly,
// because a compiler turns a loop of C++ into something else: too slow at -O2, too good to be true at -O3.
#pragma once

#include <algorithm>
#include <barrier>
#include <chrono>
#include <string_view>
#include <thread>
#include <vector>

namespace measure {

#if defined(__x86_64__)
/// What stands beside the multiply-adds of fma_loop().
enum class Beside { loads, nops };

// Twelve chains keep two units busy for up to six cycles of latency. Behind each of the first, second and third of
// every three there is room for another instruction.
#define MIRNET_THREE(r, a, b, c, first, second, third)                                                         \
  "vfmadd231ps %%" r "15, %%" r "14, %%" r a "\n" first "vfmadd231ps %%" r "15, %%" r "14, %%" r b "\n" second \
  "vfmadd231ps %%" r "15, %%" r "14, %%" r c "\n" third
#define MIRNET_CHAINS(r, first, second, third)         \
  MIRNET_THREE(r, "0", "1", "2", first, second, third) \
  MIRNET_THREE(r, "3", "4", "5", first, second, third) \
  MIRNET_THREE(r, "6", "7", "8", first, second, third) MIRNET_THREE(r, "9", "10", "11", first, second, third)
// Without fused instructions a multiplication and an addition can start together: six chains of each.
#define MIRNET_PAIR(a, b) "mulps %%xmm15, %%xmm" a "\naddps %%xmm14, %%xmm" b "\n"
#define MIRNET_SEPARATE \
  MIRNET_PAIR("0", "1") \
  MIRNET_PAIR("2", "3") MIRNET_PAIR("4", "5") MIRNET_PAIR("6", "7") MIRNET_PAIR("8", "9") MIRNET_PAIR("10", "11")
#define MIRNET_LOOP(zeros, body)                                                                                   \
  asm volatile(zeros "1:\n" body "dec %0\njnz 1b"                                                                  \
               : "+r"(n)                                                                                           \
               : "r"(memory)                                                                                       \
               : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
                 "xmm12", "xmm13", "xmm14", "xmm15", "cc")
#define MIRNET_CROWDED(r, first, second, third)                                     \
  MIRNET_LOOP("vpxor %%xmm14, %%xmm14, %%xmm14\nvpxor %%xmm15, %%xmm15, %%xmm15\n", \
              MIRNET_CHAINS(r, first, second, third))
#define MIRNET_CROWDED_BY(r, one)                     \
  switch (others) {                                   \
    case 0: MIRNET_CROWDED(r, "", "", ""); break;     \
    case 4: MIRNET_CROWDED(r, one, "", ""); break;    \
    case 8: MIRNET_CROWDED(r, one, one, ""); break;   \
    default: MIRNET_CROWDED(r, one, one, one); break; \
  }

/// n rounds of 12 multiply-adds of registers, with `others` instructions beside them: 0, 4, 8 or 12. For sse2 six
/// multiplications and six additions, with none. The operations of a round.
inline double fma_loop(std::string_view isa, long n, Beside beside = Beside::nops, int others = 0) noexcept {
  alignas(64) static float const memory[16] = {};
  if (isa.starts_with("avx512")) {
    if (beside == Beside::loads) {
      MIRNET_CROWDED_BY("zmm", "vmovups (%1), %%zmm13\n")
    } else {
      MIRNET_CROWDED_BY("zmm", "nop\n")
    }
    return 12 * 2 * 16;
  }
  if (isa == "avx2") {
    if (beside == Beside::loads) {
      MIRNET_CROWDED_BY("ymm", "vmovups (%1), %%ymm13\n")
    } else {
      MIRNET_CROWDED_BY("ymm", "nop\n")
    }
    return 12 * 2 * 8;
  }
  MIRNET_LOOP("xorps %%xmm14, %%xmm14\nxorps %%xmm15, %%xmm15\n", MIRNET_SEPARATE);
  return 12 * 4;
}
#undef MIRNET_THREE
#undef MIRNET_CHAINS
#undef MIRNET_PAIR
#undef MIRNET_SEPARATE
#undef MIRNET_LOOP
#undef MIRNET_CROWDED
#undef MIRNET_CROWDED_BY

/// GFLOP/s of one core: two operations for each lane of a fused multiply-add; for sse2, which has none, one for each
/// lane of a multiplication and of an addition. The best of a few tries, about 20 ms: short enough to be repeated
/// beside every measurement, because the clock of a machine drifts.
inline double fma_peak(std::string_view isa) {
  constexpr long iterations = 1'000'000;
  double best = 0.0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    auto const start = std::chrono::steady_clock::now();
    double const operations = fma_loop(isa, iterations);
    std::chrono::duration<double> const time = std::chrono::steady_clock::now() - start;
    best = std::max(best, operations * static_cast<double>(iterations) / time.count() * 1e-9);
  }
  return best;
}
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

}  // namespace measure
