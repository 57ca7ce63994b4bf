// What a core does with other instructions beside its multiply-adds: how many it can start in a cycle. A matrix product
// has to load what it multiplies, 8 to 12 registers for each 12 multiply-adds; where the loop below slows down with as
// many loads, no product can reach the peak, and where it does with as many no-operations, it is not for the loads.
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "counters.hpp"

namespace bench {

#if defined(__x86_64__)
enum class Beside { loads, nops };

namespace detail {

// Twelve chains, and an instruction behind each of the first, second and third of every three.
#define MIRNET_THREE(r, a, b, c, first, second, third)                                                         \
  "vfmadd231ps %%" r "15, %%" r "14, %%" r a "\n" first "vfmadd231ps %%" r "15, %%" r "14, %%" r b "\n" second \
  "vfmadd231ps %%" r "15, %%" r "14, %%" r c "\n" third
#define MIRNET_CROWDED(r, first, second, third)                                                                    \
  asm volatile("vpxor %%xmm14, %%xmm14, %%xmm14\nvpxor %%xmm15, %%xmm15, %%xmm15\n1:\n" MIRNET_THREE(              \
                   r, "0", "1", "2", first, second, third) MIRNET_THREE(r, "3", "4", "5", first, second, third)    \
                   MIRNET_THREE(r, "6", "7", "8", first, second, third)                                            \
                       MIRNET_THREE(r, "9", "10", "11", first, second, third) "dec %0\njnz 1b"                     \
               : "+r"(n)                                                                                           \
               : "r"(memory)                                                                                       \
               : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
                 "xmm12", "xmm13", "xmm14", "xmm15", "cc")
#define MIRNET_CROWDED_BY(r, one)                     \
  switch (others) {                                   \
    case 0: MIRNET_CROWDED(r, "", "", ""); break;     \
    case 4: MIRNET_CROWDED(r, one, "", ""); break;    \
    case 8: MIRNET_CROWDED(r, one, one, ""); break;   \
    default: MIRNET_CROWDED(r, one, one, one); break; \
  }

/// So many rounds of 12 multiply-adds with `others` instructions, 0, 4, 8 or 12.
inline void crowded_fma(std::string_view isa, Beside beside, int others, long n) noexcept {
  alignas(64) static float const memory[16] = {};
  if (isa == "avx2") {
    if (beside == Beside::loads) {
      MIRNET_CROWDED_BY("ymm", "vmovups (%1), %%ymm13\n")
    } else {
      MIRNET_CROWDED_BY("ymm", "nop\n")
    }
  } else {
    if (beside == Beside::loads) {
      MIRNET_CROWDED_BY("zmm", "vmovups (%1), %%zmm13\n")
    } else {
      MIRNET_CROWDED_BY("zmm", "nop\n")
    }
  }
}
#undef MIRNET_THREE
#undef MIRNET_CROWDED
#undef MIRNET_CROWDED_BY

}  // namespace detail

/// <isa>/core/fma+loads:8 and so on. Of the peak: what is left of fma_peak().
inline void add_crowded_fma(std::string const& isa) {
  if (isa != "avx2" && isa != "avx512") return;
  for (auto const beside : {Beside::loads, Beside::nops}) {
    for (int const others : {0, 4, 8, 12}) {
      auto const name = isa + "/core/fma+" + (beside == Beside::loads ? "loads:" : "nops:") + std::to_string(others);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        constexpr long rounds = 10'000;
        double const peak = fma_peak(isa), start = cpu_seconds();
        for (auto _ : state) detail::crowded_fma(isa, beside, others, rounds);
        double const time = cpu_seconds() - start, lanes = isa == "avx2" ? 8 : 16;
        double const rate = 2e-9 * 12 * lanes * static_cast<double>(rounds * state.iterations()) / time;
        state.counters["GFLOP/s"] = rate;
        state.counters["FMA peak"] = peak;
        state.counters["peak"] = rate / peak;
      });
    }
  }
}
#else
inline void add_crowded_fma(std::string const&) {}
#endif

}  // namespace bench
