// The counters of all benchmarks (README.md lists them), and what their names share.
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <ctime>
#include <string>
#include <type_traits>

#include <mirnet/kernels/table.hpp>

#include "measure/fma_peak.hpp"

namespace bench {

template <class T>
inline constexpr char const* precision = std::is_same_v<T, float> ? "fp32" : "bf16";

/// "avx2/fp32/auto/": how every name begins.
template <class T>
std::string name_prefix(mirnet::KernelTable<T> const& kernels, mirnet::Algorithm algorithm) {
  return std::string(kernels.isa) + "/" + precision<T> + "/" +
         (algorithm == mirnet::Algorithm::direct ? "direct" : "auto") + "/";
}

inline std::string square(mirnet::Index size) { return std::to_string(size) + "x" + std::to_string(size); }

/// The work of one iteration.
struct Work {
  double products = 0.0;  // that are computed
  double macs = 0.0;      // multiply-accumulates of the definition; 0: arithmetic is not what it is about
  double bytes = 0.0;     // the input once and the output once; 0: not what it is about
};

/// Seconds of this process and all of its threads, so that other programs do not count; and of the clock on the wall,
/// the only one that tells how well threads share their work.
inline double cpu_seconds() noexcept { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
inline double wall_seconds() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// What an iteration took, in seconds, beside the peak in GFLOP/s (0: not known).
inline void count(benchmark::State& state, Work const& work, double time, double peak) {
  if (work.macs > 0.0) {
    double const direct = 2e-9 * work.macs / time;
    state.counters["GFLOP/s"] = 2e-9 * work.products / time;
    state.counters["direct GFLOP/s"] = direct;
    if (peak > 0.0) {
      state.counters["FMA peak"] = peak;
      state.counters["peak"] = direct / peak;
      state.counters["time/peak"] = peak / direct;
    }
  }
  if (work.bytes > 0.0) state.counters["GB/s"] = 1e-9 * work.bytes / time;
}

/// Times body() and tells of the work; returns the seconds of an iteration. The peak is measured immediately before and
/// after, and its mean taken: on a machine whose clock drifts, or that others use too, one of another minute says
/// little. Google Benchmark would print shares as rates ("/s"), so the time is taken here once more.
template <class Body>
double measure(benchmark::State& state, char const* isa, int threads, double (*seconds)() noexcept, Work const& work,
               Body&& body) {
  double const peak_before = measure::fma_peak(isa, threads);
  double const start = seconds();
  for (auto _ : state) {
    body();
    benchmark::ClobberMemory();
  }
  double const time = (seconds() - start) / static_cast<double>(state.iterations());
  count(state, work, time, (peak_before + measure::fma_peak(isa, threads)) / 2);
  return time;
}

}  // namespace bench
