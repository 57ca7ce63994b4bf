// Convolutions at the shapes of the published network, on every instruction set of this machine, one thread:
//   mirnet_bench_kernels --benchmark_filter=avx2/conv3x3
// GFLOP/s count two operations for each multiply-accumulate of the convolution as written; "peak" is their share of
// what the core reached in a loop of fused multiply-adds in the same run.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <mirnet/layers/convolution.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "fma_peak.hpp"
#include "instruction_sets.hpp"

namespace {

using mirnet::Index;
using mirnet::KernelTable;
using mirnet::Shape;
using mirnet::Tensor;
using mirnet::View;

struct Layer {
  char const* name;
  Index size, in, out;
};

// The three streams of a 256x256 image: 64, 128 and 256 channels.
Layer const conv3x3[] = {{"conv3x3", 256, 64, 64}, {"conv3x3", 128, 128, 128}, {"conv3x3", 64, 256, 256},
                         {"conv3x3", 256, 3, 64},  {"conv3x3", 256, 64, 3},    {"conv3x3", 256, 16, 16}};
Layer const conv1x1[] = {{"conv1x1", 256, 64, 64}, {"conv1x1", 256, 128, 64}, {"conv1x1", 128, 128, 256}};
Layer const transposed[] = {{"transposed3x3", 128, 128, 128}, {"transposed3x3", 64, 256, 256}};

/// Of one core, in GFLOP/s; measured once for each instruction set.
double measured_peak(KernelTable<float> const& kernels) {
  static std::map<std::string, double> peaks;
  double& peak = peaks[kernels.isa];
  if (peak == 0.0) peak = bench::fma_peak(kernels.isa);
  return peak;
}

template <class Convolution>
void measure(benchmark::State& state, KernelTable<float> const& kernels, Convolution layer, Layer const& shape,
             double macs_a_pixel) {
  Shape const in{shape.size, shape.size, shape.in};
  auto const input = Tensor<float>::create(in).value();
  auto output = Tensor<float>::create(layer.output_shape(in)).value();
  std::vector<float> weights(static_cast<std::size_t>(layer.packed_elements()), 0.01f);
  layer.bind(weights.data());

  mirnet::Context<float> context(kernels);
  layer.forward(context, input.view(), View<float>(nullptr, output.shape()));  // measures the scratch memory
  auto const memory = mirnet::Memory::allocate(std::max<Index>(context.arena.peak(), 64)).value();
  context.arena = mirnet::Arena(memory.bytes());
  for (auto _ : state) {
    layer.forward(context, input.view(), output.view());
    benchmark::ClobberMemory();
  }

  double const peak = measured_peak(kernels);
  double const gflop = 2e-9 * macs_a_pixel * static_cast<double>(in.pixels());
  double const rate = gflop * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(rate, benchmark::Counter::kIsRate);
  state.counters["peak"] = benchmark::Counter(rate / peak, benchmark::Counter::kIsRate);
}

template <class Body>
void add(KernelTable<float> const& kernels, Layer const& shape, Body body) {
  auto const name = std::string(kernels.isa) + "/" + shape.name + "/" + std::to_string(shape.in) + "->" +
                    std::to_string(shape.out) + "/" + std::to_string(shape.size) + "x" + std::to_string(shape.size);
  benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMillisecond);
}

void add_all(KernelTable<float> const& kernels) {
  auto const add_conv = [&](Layer const& shape, Index kernel) {
    add(kernels, shape, [&kernels, shape, kernel](benchmark::State& state) {
      measure(state, kernels, mirnet::Conv2d<float>(shape.in, shape.out, kernel), shape,
              static_cast<double>(kernel * kernel * shape.in * shape.out));
    });
  };
  for (auto const& shape : conv3x3) add_conv(shape, 3);
  for (auto const& shape : conv1x1) add_conv(shape, 1);
  for (auto const& shape : transposed) {
    add(kernels, shape, [&kernels, shape](benchmark::State& state) {
      measure(state, kernels, mirnet::ConvTranspose2d<float>(shape.in, shape.out), shape,
              static_cast<double>(9 * shape.in * shape.out));
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (auto const& set : cli::instruction_sets()) {
    if (set.available) add_all(*set.kernels());
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
