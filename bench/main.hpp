// What the benchmark programs do alike.
#pragma once

#include <benchmark/benchmark.h>

#include <mirnet/dispatch/kernel_sets.hpp>

namespace bench {

/// Runs what is registered and the arguments choose. The exit code.
inline int run_chosen(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

/// add(kernels) registers benchmarks, for each table of this machine's instruction sets, of float and of bfloat16; then
/// those that the arguments choose run. The exit code.
template <class Add>
int run_all(int argc, char** argv, Add&& add) {
  for (auto const& set : mirnet::kernel_sets()) {
    if (!set.available()) continue;
    if (set.has_own_float_kernels()) add(*set.kernels());
    if (set.bfloat16_kernels != nullptr) add(*set.bfloat16_kernels());
  }
  return run_chosen(argc, argv);
}

}  // namespace bench
