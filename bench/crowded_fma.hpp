// What a core does with other instructions beside its multiply-adds: how many it can start in a cycle. A matrix product
// has to load what it multiplies, seven registers or more for each 12 multiply-adds; where the loop slows down with as
// many loads, no product can reach the peak, and where it does with as many no-operations, it is not for the loads.
#pragma once

#include <benchmark/benchmark.h>

#include <string>

#include <mirnet/simd/instruction_set.hpp>

#include "counters.hpp"
#include "measure/fma_peak.hpp"

namespace bench {

#if defined(__x86_64__)
/// <isa>/core/fma+loads:8 and so on, where the set has fused multiply-adds. Of the peak: what is left of fma_peak().
inline void add_crowded_fma(char const* isa) {
  auto const* const set = mirnet::find_instruction_set(isa);
  if (set == nullptr || !set->fused) return;
  for (auto const beside : {measure::Beside::loads, measure::Beside::nops}) {
    for (int const others : {0, 4, 8, 12}) {
      auto const name = std::string(isa) + "/core/fma+" + (beside == measure::Beside::loads ? "loads:" : "nops:") +
                        std::to_string(others);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        constexpr long rounds = 10'000;
        double const products = measure::fma_loop(isa, 1) / 2 * rounds;
        measure(state, isa, 1, cpu_seconds, {.products = products, .macs = products},
                [&] { measure::fma_loop(isa, rounds, beside, others); });
      });
    }
  }
}
#else
inline void add_crowded_fma(char const*) {}
#endif

}  // namespace bench
