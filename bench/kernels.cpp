// Every kernel at the shapes that it has in the published networks (MIRNet with 64 features, MIRNet-v2 with 80) and in
// the one that ships (16), and the layers of other networks at 32 features, for an image of 256x256, on one thread,
// with every instruction set of this machine. Names are
//   <instruction set>/<precision>/<algorithm>/<kernel>/<channels in>-><channels out>/<size of the input map>
// so --benchmark_filter=avx2/fp32/auto/conv3x3 picks some. `auto` is what networks use by default; `direct` is there
// for the kernels whose algorithm it changes.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/elementwise.hpp>
#include <mirnet/layers/normalization.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/layers/resampling.hpp>
#include <mirnet/layers/sum.hpp>
#include <mirnet/networks/mirnet/spatial_attention.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "counters.hpp"
#include "crowded_fma.hpp"
#include "main.hpp"
#include "measure/counted_kernels.hpp"
#include "support/random.hpp"

namespace {

using mirnet::Algorithm;
using mirnet::Context;
using mirnet::Index;
using mirnet::KernelTable;
using mirnet::Shape;
using mirnet::Tensor;
using mirnet::View;

/// The shapes of one benchmark.
struct Case {
  Index in, out, size;  // channels, and height and width of the input

  Shape input() const noexcept { return {size, size, in}; }
};

template <class T>
struct Target {
  KernelTable<T> const* kernels;
  Algorithm algorithm;

  Context<T> context(KernelTable<T> const& table) const noexcept {
    Context<T> made(table);
    made.algorithm = algorithm;
    return made;
  }
  Context<T> rehearsal(KernelTable<T> const& table) const noexcept {
    auto made = context(table);
    made.arena = mirnet::Arena::for_rehearsal();
    return made;
  }
};

// --- Maps, weights and a run ----------------------------------------------------------------------------------------

template <class T>
Tensor<T> random_map(Shape shape) {
  auto map = Tensor<T>::create(shape).value();
  test::Random random(1);
  test::fill(map.view(), random);
  return map;
}

/// The layer and memory for its weights, which only need not be zero, infinite or denormal.
template <class T, class Layer>
struct Weighted {
  explicit Weighted(Layer unbound)
      : layer(unbound), weights(Tensor<T>::create({1, 1, layer.packed_elements()}).value()) {
    std::fill_n(weights.view().data(), layer.packed_elements(), static_cast<T>(0.01f));
    layer.bind(weights.view().data());
  }

  Layer layer;
  Tensor<T> weights;
};

template <class T>
double bytes_of(std::initializer_list<View<T const>> maps) {
  Index elements = 0;
  for (auto const& map : maps) elements += map.pixels() * map.pitch();
  return static_cast<double>(elements) * sizeof(T);
}

/// forward(context) is rehearsed, which tells its arithmetic and the memory that it works in, and then measured.
template <class T, class Forward>
void measure(benchmark::State& state, Target<T> const& target, double bytes, Forward&& forward) {
  measure::CountedKernels<T> const counted(*target.kernels);
  auto rehearsal = target.rehearsal(counted.table());
  forward(rehearsal);
  double const macs = static_cast<double>(rehearsal.macs);
  // Kernels that are no matrix products have one way to be computed.
  bench::Work const work{counted.products() > 0.0 ? counted.products() : macs, macs, bytes};

  auto const memory = mirnet::Memory::allocate(std::max<Index>(rehearsal.arena.peak(), 64)).value();
  auto context = target.context(*target.kernels);
  context.arena = mirnet::Arena(memory.bytes());
  forward(context);  // pages come when they are first written
  bench::measure(state, target.kernels->isa, 1, bench::cpu_seconds, work, [&] { forward(context); });
  state.counters["peak_bytes"] = static_cast<double>(rehearsal.arena.peak());
}

// --- Convolutions ---------------------------------------------------------------------------------------------------

/// Conv2d and ConvTranspose2d.
template <class T, class Layer>
void convolution(benchmark::State& state, Target<T> const& target, Case const& shapes, Layer const& unbound) {
  Weighted<T, Layer> const weighted(unbound);
  auto const input = random_map<T>(shapes.input());
  auto output = Tensor<T>::create(unbound.output_shape(shapes.input())).value();
  measure(state, target, bytes_of<T>({input.view(), output.view()}),
          [&](Context<T>& context) { weighted.layer.forward(context, input.view(), output.view()); });
}

template <class T>
void gated_projection(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  Weighted<T, mirnet::GatedConv1x1<T>> const weighted(mirnet::GatedConv1x1<T>(shapes.in));
  auto const input = random_map<T>(shapes.input());
  auto const residual = random_map<T>(shapes.input());
  auto const channel_gate = random_map<T>({1, 1, shapes.in});
  auto const pixel_gate = random_map<T>({1, 1, shapes.input().pixels()});
  auto output = Tensor<T>::create(shapes.input()).value();
  measure(state, target, bytes_of<T>({input.view(), residual.view(), pixel_gate.view(), output.view()}),
          [&](Context<T>& context) {
            weighted.layer.forward(context, input.view(), pixel_gate.view().data(), channel_gate.view(), output.view(),
                                   residual.view());
          });
}

/// The end of a downsampler, as Downsampling::project calls it for a band.
template <class T>
void blurred_projection(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  using Conv = mirnet::Conv2d<T>;
  Weighted<T, Conv> const top(Conv(shapes.in, shapes.out, 1)), bottom(Conv(shapes.in, shapes.out, 1));
  auto const filtered = random_map<T>(shapes.input());
  auto const input = random_map<T>(shapes.input());
  auto output = Tensor<T>::create({shapes.size / 2, shapes.size / 2, shapes.out}).value();
  auto const blur = [&](View<T const> map) {
    return mirnet::Resampling<T>{map.data(), map.height(), map.width(), map.pitch(), nullptr};
  };
  mirnet::BlurredProjection<T> const work{.blur = {blur(filtered.view()), blur(input.view())},
                                          .channels = shapes.in,
                                          .weights = {top.layer.packed(), bottom.layer.packed()},
                                          .output = output.view().data(),
                                          .output_lines = output.view().pitch() / mirnet::channels_per_line<T>};
  measure(state, target, bytes_of<T>({filtered.view(), input.view(), output.view()}), [&](Context<T>& context) {
    auto const& kernels = *context.kernels;
    context.count(output.shape().pixels(), 2 * shapes.in * shapes.out);
    auto const plan = kernels.plan_blurred_projection(work);
    mirnet::ArenaBlock<std::byte> const prepared(context.arena, plan.weights_bytes);
    auto const scratch = context.scratch(plan.scratch_bytes);
    context.once([&] { kernels.prepare_blurred_projection(work, prepared.data()); });
    context.each_range(output.shape().pixels(), kernels.work_tile_pixels, [&](Index first, Index last, Index) {
      kernels.blurred_projection(work, prepared.data(), first, last, scratch.data());
    });
  });
}

// --- Resampling, pooling, attention ---------------------------------------------------------------------------------

/// layer(context, input, output), with an output of `side` pixels in height and width.
template <class T, class Layer>
void resampling(benchmark::State& state, Target<T> const& target, Case const& shapes, Index side, Layer layer) {
  auto const input = random_map<T>(shapes.input());
  auto output = Tensor<T>::create({side, side, shapes.out}).value();
  measure(state, target, bytes_of<T>({input.view(), output.view()}),
          [&](Context<T>& context) { layer(context, View<T const>(input.view()), output.view()); });
}

template <class T>
void blur_pool(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  resampling(state, target, shapes, shapes.size / 2,
             [](auto& context, auto input, auto output) { mirnet::blur_pool<T>(context, input, output); });
}

template <class T>
void average_halve(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  resampling(state, target, shapes, shapes.size / 2,
             [](auto& context, auto input, auto output) { mirnet::average_halve<T>(context, input, output); });
}

template <class T>
void bilinear_double(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  resampling(state, target, shapes, 2 * shapes.size,
             [](auto& context, auto input, auto output) { mirnet::bilinear_double<T>(context, input, output); });
}

/// As a fusion of MIRNet-v2 adds a stream to the one above, in place.
template <class T>
void bilinear_double_sum(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  auto const small = random_map<T>(shapes.input());
  auto const weights = random_map<T>({1, 2, shapes.in});
  auto map = random_map<T>({2 * shapes.size, 2 * shapes.size, shapes.out});
  double const bytes = bytes_of<T>({small.view(), map.view(), map.view()});
  measure(state, target, bytes, [&](Context<T>& context) {
    auto node = mirnet::bilinear_double_sum_node<T>(context, map.shape());
    mirnet::bilinear_double_sum_rows<T>(context, node, small.view(), weights.view().data(), map.view());
  });
}

template <class T>
void attention_pool(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  auto const input = random_map<T>(shapes.input()), score = random_map<T>({1, 1, shapes.in});
  mirnet::AttentionPool<T> const work{input.view().data(), input.view().pitch(), score.view().data()};
  auto part = Tensor<mirnet::Accumulator<T>>::create({1, 1, work.part_elements()}).value();
  measure(state, target, bytes_of<T>({input.view()}), [&](Context<T>& context) {
    context.count(input.shape().pixels(), 2 * shapes.in);
    context.each_range(input.shape().pixels(), work.most_pixels, [&](Index first, Index last, Index) {
      context.kernels->attention_pool(work, first, last, part.view().data());
    });
  });
}

/// With the sums of the result's channels.
template <class T>
void activated_sum(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  auto const other = random_map<T>(shapes.input()), vector = random_map<T>({1, 1, shapes.in});
  auto map = random_map<T>(shapes.input());
  measure(state, target, bytes_of<T>({other.view(), map.view(), map.view()}), [&](Context<T>& context) {
    mirnet::ChannelSums<T> sums(context, shapes.in);
    mirnet::add_activated<T>(context, other.view(), vector.view(), mirnet::leaky_relu(0.2), map.view(), &sums);
  });
}

/// Of three maps, as before a fusion of streams.
template <class T>
void channel_sums(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  Tensor<T> const maps[] = {random_map<T>(shapes.input()), random_map<T>(shapes.input()),
                            random_map<T>(shapes.input())};
  View<T const> const views[] = {maps[0].view(), maps[1].view(), maps[2].view()};
  auto output = Tensor<T>::create({1, 1, shapes.out}).value();
  measure(state, target, bytes_of<T>({views[0], views[1], views[2]}),
          [&](Context<T>& context) { mirnet::global_average<T>(context, views, output.view()); });
}

template <class T>
void channel_max_mean(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  auto const input = random_map<T>(shapes.input());
  Index const pixels = shapes.input().pixels();
  using Number = mirnet::Accumulator<T>;
  auto maximum = Tensor<Number>::create({1, 1, pixels}).value(), mean = Tensor<Number>::create({1, 1, pixels}).value();
  View<T const> const in = input.view();
  double const bytes = bytes_of<T>({in}) + static_cast<double>(2 * pixels) * sizeof(Number);
  measure(state, target, bytes, [&](Context<T>& context) {
    context.each_range(pixels, 1024, [&](Index first, Index last, Index) {
      context.kernels->channel_max_mean(in.data() + first * in.pitch(), last - first, in.channels(), in.pitch(),
                                        maximum.view().data() + first, mean.view().data() + first);
    });
  });
}

template <class T>
void spatial_gate(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  mirnet::SpatialAttention<T> attention;
  Tensor<T> weights = random_map<T>({1, 1, 50});
  attention.layers([&](auto& layer, mirnet::Name const&) { layer.bind(weights.view().data()); }, mirnet::Name(""));
  auto gate = Tensor<T>::create({1, 1, shapes.input().pixels()}).value();
  // The planes are taken outside of the loop: their statistics come from the convolution before.
  auto rehearsal = target.rehearsal(*target.kernels);
  { typename mirnet::SpatialAttention<T>::Planes const planes(rehearsal, shapes.input()); }
  auto const memory = mirnet::Memory::allocate(rehearsal.arena.peak()).value();
  auto owner = target.context(*target.kernels);
  owner.arena = mirnet::Arena(memory.bytes());
  typename mirnet::SpatialAttention<T>::Planes const planes(owner, shapes.input());
  double const bytes = static_cast<double>(shapes.input().pixels()) * (2 * sizeof(mirnet::Accumulator<T>) + sizeof(T));
  measure(state, target, bytes, [&](Context<T>& context) { attention.gate(context, planes, gate.view().data()); });
}

// --- Pointwise ------------------------------------------------------------------------------------------------------

/// Of three maps, as the fusion of three streams.
template <class T>
void weighted_sum(benchmark::State& state, Target<T> const& target, Case const& shapes) {
  Tensor<T> const maps[] = {random_map<T>(shapes.input()), random_map<T>(shapes.input()),
                            random_map<T>(shapes.input())};
  auto const weights = random_map<T>({1, 1, shapes.in});
  auto output = Tensor<T>::create(shapes.input()).value();
  mirnet::WeightedSum<T> work{3, {}, {}, output.view().pitch(), output.view().data()};
  for (int i = 0; i < 3; ++i) work.inputs[i] = maps[i].view().data(), work.weights[i] = weights.view().data();
  measure(state, target, bytes_of<T>({maps[0].view(), maps[1].view(), maps[2].view(), output.view()}),
          [&](Context<T>& context) {
            context.each_range(shapes.input().pixels(), 1024, [&](Index first, Index last, Index) {
              context.kernels->weighted_sum(work, first, last);
            });
          });
}

/// body(context, map) works in place.
template <class T, class Body>
void in_place(benchmark::State& state, Target<T> const& target, Case const& shapes, Body body) {
  auto map = random_map<T>(shapes.input());
  measure(state, target, 2 * bytes_of<T>({map.view()}), [&](Context<T>& context) { body(context, map.view()); });
}

/// In the network it normalises three vectors; here three long ones, to be measurable.
template <class T>
void softmax(Context<T>& context, View<T> map) {
  Index const count = map.pixels() / 3 * map.pitch();
  context.once([&] { context.kernels->softmax(map.data(), 3, count, count); });
}

/// body(context, input, output), from a map into one of the `out` channels of the case and height and width `out_size`.
template <class T, class Body>
void between_maps(benchmark::State& state, Target<T> const& target, Case const& shapes, Index out_size, Body body) {
  auto const input = random_map<T>(shapes.input());
  auto output = Tensor<T>::create({out_size, out_size, shapes.out}).value();
  measure(state, target, bytes_of<T>({input.view(), output.view()}),
          [&](Context<T>& context) { body(context, input.view(), output.view()); });
}

// --- All of them ----------------------------------------------------------------------------------------------------

template <class T>
class Benchmarks {
 public:
  explicit Benchmarks(KernelTable<T> const& kernels) : kernels_(kernels) {}

  void add_network(Index features) const {
    constexpr Index image = 256, streams = 3;
    using Conv = mirnet::Conv2d<T>;
    add_convolution("conv3x3", {3, features, image}, Conv(3, features, 3));
    add_convolution("conv3x3", {features, 3, image}, Conv(features, 3, 3));
    for (Index s = 0; s < streams; ++s) {
      Index const channels = features << s, size = image >> s;
      Case const same{channels, channels, size};
      add_convolution("conv3x3", same, Conv(channels, channels, 3));
      add_convolution("conv1x1", same, Conv(channels, channels, 1));
      if (s > 0) {  // steps up
        Case const up{channels, channels / 2, 2 * size};
        add_convolution("conv1x1", up, Conv(channels, channels / 2, 1));
        add_convolution("transposed3x3", same, mirnet::ConvTranspose2d<T>(channels, channels));
        add("bilinear_double", {channels / 2, channels / 2, size}, bilinear_double<T>);
      }
      if (s + 1 < streams) {  // steps down
        add("blurred_projection", {channels, 2 * channels, size}, blurred_projection<T>);
        add("blur_pool", same, blur_pool<T>);
      }
      add("gated_projection", same, gated_projection<T>);
      add("channel_sums", same, channel_sums<T>);
      add("channel_max_mean", same, channel_max_mean<T>);
      add("spatial_gate", same, spatial_gate<T>);
      add("weighted_sum", same, weighted_sum<T>);
      add_in_place("prelu", same, [](Context<T>& context, View<T> map) {
        mirnet::PRelu<T> layer;
        T const slope[] = {static_cast<T>(0.25f)};
        layer.pack(nullptr, 0, slope);
        layer.forward(context, map);
      });
      add_in_place("sigmoid", same, [](Context<T>& context, View<T> map) { mirnet::sigmoid(context, map); });
      add_in_place("softmax", same, softmax<T>);
    }
  }

  /// What MIRNet-v2 computes besides: convolutions of 1, 2 and 4 groups, on streams of 1, 1.5 and 2.25 times as many
  /// channels.
  void add_network_v2(mirnet::MirnetV2Config const& config) const {
    constexpr Index image = 256;
    for (Index s = 0; s < config.streams; ++s) {
      Index const channels = config.stream_channels(s), size = image >> s;
      Case const same{channels, channels, size};
      for (Index const groups : {1, 2, 4}) {
        auto const name = groups == 1 ? std::string("conv3x3") : "conv3x3_groups" + std::to_string(groups);
        add_convolution(name.c_str(), same, mirnet::Conv2d<T>(channels, channels, 3, {.groups = groups}));
      }
      add("attention_pool", same, attention_pool<T>);
      add("activated_sum", same, activated_sum<T>);
      if (s > 0) add("bilinear_double_sum", {channels, channels, size}, bilinear_double_sum<T>);
      if (s + 1 < config.streams) add("average_halve", same, average_halve<T>);
    }
  }

  /// What other restoration networks are made of.
  void add_layers(Index features) const {
    using mirnet::Function, mirnet::Interpolation;
    constexpr Index size = 256;
    Case const same{features, features, size};
    for (Index const kernel : {3, 5, 7}) {
      for (Index const stride : {1, 2}) {
        auto const name = "depthwise" + std::to_string(kernel) + (stride == 2 ? "_stride2" : "");
        mirnet::Conv2d<T> const layer(features, features, kernel, {.stride = stride, .groups = features});
        add_convolution(name.c_str(), same, layer);
      }
    }
    add_convolution("transposed2x2", same, mirnet::ConvTranspose2d<T>(features, features, 2, {.stride = 2}));
    add_convolution("transposed4x4", same,
                    mirnet::ConvTranspose2d<T>(features, features, 4, {.stride = 2, .padding = 1}));
    add_between("gated1x1", {features, features, size}, size, [=](auto& context, auto input, auto output) {
      static Weighted<T, mirnet::Conv2d<T>> const weighted(mirnet::Conv2d<T>(features, 2 * features, 1));
      weighted.layer.forward(context, input, output, {.activation = mirnet::simple_gate});
    });
    for (auto const& [name, function] :
         {std::pair("gelu", Function::gelu), std::pair("gelu_tanh", Function::gelu_tanh),
          std::pair("silu", Function::silu), std::pair("hard_swish", Function::hard_swish)}) {
      add_in_place(name, same, [f = function](Context<T>& context, View<T> map) { activate(context, f, map); });
    }
    add_in_place("softmax_of_channels", same, [](auto& context, auto map) { softmax_of_channels(context, map); });
    add_in_place("softmax_of_pixels", same, [](auto& context, auto map) { softmax_of_pixels(context, map); });
    add_between("add", same, size, [](auto& context, auto x, auto y) { mirnet::add<T>(context, x, x, y); });
    add_between("layer_norm", same, size, [=](auto& context, auto input, auto output) {
      mirnet::LayerNorm<T>(features, {.affine = false}).forward(context, input, output);
    });
    add_between("instance_norm", same, size, [=](auto& context, auto input, auto output) {
      mirnet::InstanceNorm2d<T>(features).forward(context, input, output);
    });
    add_between("max_pool", same, size / 2,
                [](auto& context, auto x, auto y) { mirnet::max_pool<T>(context, x, 2, {}, y); });
    add_between("average_pool", same, size / 2,
                [](auto& context, auto x, auto y) { mirnet::average_pool<T>(context, x, 2, {}, y); });
    for (auto const& [name, mode] :
         {std::pair("nearest", Interpolation::nearest), std::pair("bilinear", Interpolation::bilinear),
          std::pair("bicubic", Interpolation::bicubic)}) {
      add_between(name, same, 2 * size, [m = mode](auto& context, auto input, auto output) {
        mirnet::resize<T>(context, input, {.mode = m}, output);
      });
    }
  }

 private:
  /// run(state, target, shapes).
  template <class Run>
  void add(char const* kernel, Case const& shapes, Run run, Algorithm algorithm = Algorithm::automatic) const {
    auto const name = bench::name_prefix(kernels_, algorithm) + kernel + "/" + std::to_string(shapes.in) + "->" +
                      std::to_string(shapes.out) + "/" + bench::square(shapes.size);
    Target<T> const target{&kernels_, algorithm};
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      run(state, target, shapes);
    })->Unit(benchmark::kMillisecond);
  }

  template <class Layer>
  void add_convolution(char const* kernel, Case const& shapes, Layer const& layer) const {
    auto const run = [layer](benchmark::State& state, Target<T> const& target, Case const& c) {
      convolution(state, target, c, layer);
    };
    add(kernel, shapes, run);
    bool const fast = products(Algorithm::automatic, shapes, layer) != products(Algorithm::direct, shapes, layer);
    if (fast) add(kernel, shapes, run, Algorithm::direct);
  }

  template <class Body>
  void add_between(char const* kernel, Case const& shapes, Index out_size, Body body) const {
    add(kernel, shapes, [=](benchmark::State& state, Target<T> const& target, Case const& c) {
      between_maps(state, target, c, out_size, body);
    });
  }

  template <class Body>
  void add_in_place(char const* kernel, Case const& shapes, Body body) const {
    add(kernel, shapes,
        [body](benchmark::State& state, Target<T> const& target, Case const& c) { in_place(state, target, c, body); });
  }

  template <class Layer>
  double products(Algorithm algorithm, Case const& shapes, Layer const& layer) const {
    measure::CountedKernels<T> const counted(kernels_);
    auto context = Target<T>{&kernels_, algorithm}.context(counted.table());
    layer.forward(context, View<T const>(nullptr, shapes.input()),
                  View<T>(nullptr, layer.output_shape(shapes.input())));
    return counted.products();
  }

  KernelTable<T> const& kernels_;
};

}  // namespace

int main(int argc, char** argv) {
  return bench::run_all(argc, argv, []<class T>(KernelTable<T> const& kernels) {
    if constexpr (std::is_same_v<T, float>) bench::add_crowded_fma(kernels.isa);
    for (Index const features : {64, 16}) Benchmarks<T>(kernels).add_network(features);
    Benchmarks<T>(kernels).add_network_v2({});
    Benchmarks<T>(kernels).add_layers(32);
  });
}
