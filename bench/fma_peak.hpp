// What one core can do at most: multiply-adds a second from registers alone, for each instruction set. Assembly,
// because a compiler turns a loop of C++ into something else: too slow at -O2, too good to be true at -O3.
#pragma once

#include <chrono>
#include <string_view>

namespace bench {

#if defined(__x86_64__)
// Ten chains: two units of five cycles' latency at most are always busy. Each iteration is 10 operations.
#define MIRNET_TEN_TIMES(instruction, r)                                                                              \
  instruction " %%" r "15, %%" r "14, %%" r "0\n" instruction " %%" r "15, %%" r "14, %%" r "1\n" instruction " %%" r \
              "15, %%" r "14, %%" r "2\n" instruction " %%" r "15, %%" r "14, %%" r "3\n" instruction " %%" r         \
              "15, %%" r "14, %%" r "4\n" instruction " %%" r "15, %%" r "14, %%" r "5\n" instruction " %%" r         \
              "15, %%" r "14, %%" r "6\n" instruction " %%" r "15, %%" r "14, %%" r "7\n" instruction " %%" r         \
              "15, %%" r "14, %%" r "8\n" instruction " %%" r "15, %%" r "14, %%" r "9\n"
#define MIRNET_CLOBBERS \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm14", "xmm15", "cc"

/// GFLOP/s of one core: two operations for each lane of a fused multiply-add; for sse2, which has none, of a
/// multiplication and an addition that can start in one cycle. The best of a few tries, about 0.1 s.
inline double fma_peak(std::string_view isa) {
  constexpr long iterations = 4'000'000;
  double best = 0.0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    long n = iterations;
    auto const start = std::chrono::steady_clock::now();
    double lanes = 0;
    if (isa == "avx512") {
      asm volatile("vpxord %%zmm14, %%zmm14, %%zmm14\nvpxord %%zmm15, %%zmm15, %%zmm15\n1:\n" MIRNET_TEN_TIMES(
                       "vfmadd231ps", "zmm") "dec %0\njnz 1b"
                   : "+r"(n)::MIRNET_CLOBBERS);
      lanes = 16;
    } else if (isa == "avx2") {
      asm volatile("vxorps %%ymm14, %%ymm14, %%ymm14\nvxorps %%ymm15, %%ymm15, %%ymm15\n1:\n" MIRNET_TEN_TIMES(
                       "vfmadd231ps", "ymm") "dec %0\njnz 1b"
                   : "+r"(n)::MIRNET_CLOBBERS);
      lanes = 8;
    } else {
      asm volatile(
          "xorps %%xmm14, %%xmm14\nxorps %%xmm15, %%xmm15\n1:\n"
          "mulps %%xmm15, %%xmm0\naddps %%xmm14, %%xmm1\nmulps %%xmm15, %%xmm2\naddps %%xmm14, %%xmm3\n"
          "mulps %%xmm15, %%xmm4\naddps %%xmm14, %%xmm5\nmulps %%xmm15, %%xmm6\naddps %%xmm14, %%xmm7\n"
          "mulps %%xmm15, %%xmm8\naddps %%xmm14, %%xmm9\n"
          "dec %0\njnz 1b"
          : "+r"(n)::MIRNET_CLOBBERS);
      lanes = 2;  // 4 lanes, one operation for each
    }
    std::chrono::duration<double> const time = std::chrono::steady_clock::now() - start;
    double const rate = 10.0 * static_cast<double>(iterations) * 2.0 * lanes / time.count() * 1e-9;
    if (rate > best) best = rate;
  }
  return best;
}
#undef MIRNET_TEN_TIMES
#undef MIRNET_CLOBBERS
#endif

}  // namespace bench
