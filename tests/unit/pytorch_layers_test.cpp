// Single layers against what PyTorch computes with them (tests/golden/make_layer_goldens.py): on all kernels, of every
// type, by any number of threads, in exactly the memory that a rehearsal asks for.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/concat.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/elementwise.hpp>
#include <mirnet/layers/normalization.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/layers/resampling.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/npy.hpp"
#include "support/random.hpp"
#include "support/schedulers.hpp"

using namespace mirnet;
using namespace test;

namespace {

struct Golden {
  Shape shape;
  std::vector<double> values;  // channels first
};

std::map<std::string, Golden> const& goldens() {
  static auto const read = [] {
    std::string const folder = std::string(MIRNET_GOLDEN_DIR) + "/layers/";
    auto const bytes = file_bytes(folder + "outputs.npy");
    auto const text = file_bytes(folder + "cases.txt");
    std::istringstream cases(std::string(text.data(), text.size()));
    std::map<std::string, Golden> all;
    std::size_t at =
        10 + static_cast<unsigned char>(bytes[8]) + std::size_t{256} * static_cast<unsigned char>(bytes[9]);
    std::string name;
    for (Shape s{}; cases >> s.channels >> s.height >> s.width && std::getline(cases >> std::ws, name);) {
      Golden golden{s, std::vector<double>(static_cast<std::size_t>(s.pixels() * s.channels))};
      for (double& value : golden.values) {
        REQUIRE(at + sizeof value <= bytes.size());
        auto const* const from = reinterpret_cast<std::byte const*>(bytes.data() + at);
        value = std::bit_cast<double>(load_little<std::uint64_t>(from));
        at += sizeof value;
      }
      all[name] = std::move(golden);
    }
    REQUIRE(at == bytes.size());
    return all;
  }();
  return read;
}

/// As in make_layer_goldens.py.
template <class T>
std::vector<T> numbers(std::uint64_t seed, Index count) {
  Random random(seed);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(static_cast<float>(random.bits() >> 56) / 128.0f - 1.0f);
  return values;
}

/// offset + factor * numbers
template <class T>
Tensor<T> map_of(std::uint64_t seed, Shape shape, double factor = 1.0, double offset = 0.0) {
  auto map = Tensor<T>::create(shape).value();
  auto const values = numbers<T>(seed, shape.pixels() * shape.channels);
  auto value = values.begin();
  for (Index c = 0; c < shape.channels; ++c) {
    for (Index pixel = 0; pixel < shape.pixels(); ++pixel, ++value) {
      map.view().pixel(pixel / shape.width, pixel % shape.width)[c] =
          static_cast<T>(offset + factor * static_cast<double>(*value));
    }
  }
  return map;
}

/// A layer with numbers for its parameters.
template <class Layer, class T>
struct Filled {
  explicit Filled(Layer const& of) : layer(of) {
    Index elements = 0;
    each_parameter(layer, Unnamed(), [&](auto& parameter, Unnamed) {
      elements += round_up(parameter.packed_elements(), packed_line<T>);
    });
    memory = Buffer<T>(elements);
    T* place = memory.data();
    std::uint64_t seed = 100;
    each_parameter(layer, Unnamed(), [&](auto& parameter, Unnamed) {
      parameter.bind(place);
      parameter.pack(place, 0, numbers<T>(seed++, parameter.shape().elements()));
      place += round_up(parameter.packed_elements(), packed_line<T>);
    });
  }

  Layer layer;
  Buffer<T> memory;
};

template <class T>
using Forward = std::function<ArenaMap<T>(Context<T>&)>;

/// What is run under the name of each golden case.
template <class T>
class LayerCases {
 public:
  LayerCases() {
    add_transposed();
    add_convolutions();
    add_pools();
    add_activations();
    add_resized();
    add_normalized();
    add_combined();
  }
  LayerCases(LayerCases const&) = delete;

  std::vector<std::pair<std::string, Forward<T>>> list;

 private:
  using Map = View<T const>;

  Tensor<T> x_ = map_of<T>(1, {5, 7, 20}), y_ = map_of<T>(2, {5, 7, 20}), few_ = map_of<T>(5, {5, 7, 2});
  Tensor<T> many_ = map_of<T>(6, {17, 19, 2}), pixel_ = map_of<T>(7, {1, 1, 17}), grouped_ = map_of<T>(8, {3, 4, 32});
  Tensor<T> vector_ = map_of<T>(3, {1, 1, 2}), plane_ = map_of<T>(4, {5, 7, 1});
  Tensor<T> less_ = map_of<T>(6, {17, 19, 2}, 1.0, -2.0), far_ = map_of<T>(6, {17, 19, 2}, 2.0, 1000.0);
  Tensor<T> wide_ = map_of<T>(5, {5, 7, 2}, 4.0), logits_ = map_of<T>(1, {5, 7, 20}, 8.0);
  Tensor<T> plane_logits_ = map_of<T>(6, {17, 19, 2}, 8.0);
  // Corners and channels of x and y, which PyTorch copies.
  Tensor<T> const corner_ = part(x_, {2, 3, 20}), corner_34_ = part(x_, {3, 4, 20}), three_ = part(y_, {5, 7, 3});
  Map const x = x_.view(), y = y_.view(), few = few_.view(), many = many_.view();

  static Tensor<T> part(Tensor<T>& of, Shape shape) {
    auto result = Tensor<T>::create(shape).value();
    for (Index i = 0; i < shape.pixels(); ++i) {
      T const* const from = of.view().pixel(i / shape.width, i % shape.width);
      std::copy_n(from, shape.channels, result.view().pixel(i / shape.width, i % shape.width));
    }
    return result;
  }

  template <class Layer>
  std::shared_ptr<Filled<Layer, T> const> filled(Layer const& layer) {
    return std::make_shared<Filled<Layer, T>>(layer);
  }

  void add(std::string name, Forward<T> forward) { list.emplace_back(std::move(name), std::move(forward)); }

  /// layer(context, map, arguments...)
  template <class Layer, class... Arguments>
  void add_layer(std::string name, Layer const& layer, Map map, Arguments... arguments) {
    add(std::move(name), [layer = filled(layer), map, arguments...](Context<T>& context) {
      return layer->layer(context, map, arguments...);
    });
  }

  /// body(context, map) in place of a copy.
  template <class Body>
  void add_in_place(std::string name, Map map, Body body) {
    add(std::move(name), [map, body](Context<T>& context) {
      ArenaMap<T> copy(context.arena, map.shape());
      context.once([&] { std::copy_n(map.data(), map.pixels() * map.pitch(), copy.view().data()); });
      body(context, copy.view());
      return copy;
    });
  }

  void add_transposed() {
    using Layer = ConvTranspose2d<T>;
    Map const pixel = pixel_.view(), grouped = grouped_.view();
    auto const one = [&](std::string const& name, Index in, Index out, Index kernel, ConvTransposeOptions options,
                         Map map, Activation<T> activation = {}) {
      add_layer("transposed " + name, Layer(in, out, kernel, options), map, activation);
    };
    one("2x2 stride 2", 20, 6, 2, {.stride = 2, .bias = true}, x);
    one("2x2 stride 2 without bias", 20, 6, 2, {.stride = 2}, x);
    one("2x2 stride 2 of a pixel", 17, 18, 2, {.stride = 2, .bias = true}, pixel);
    one("2x2 stride 1", 20, 3, 2, {.bias = true}, x);
    one("1x1", 20, 3, 1, {.bias = true}, x);
    one("1x1 stride 1 padding 1", 20, 3, 1, {.padding = 1, .bias = true}, x);
    one("3x3", 20, 3, 3, {.padding = 1, .bias = true}, x);
    one("3x3 stride 2", 20, 3, 3, {.stride = 2, .padding = 1, .bias = true}, x);
    one("3x3 stride 2 output_padding 1", 20, 3, 3, {.stride = 2, .padding = 1, .output_padding = 1, .bias = true}, x);
    one("3x3 stride 2 padding 0 output_padding 1", 20, 3, 3, {.stride = 2, .output_padding = 1, .bias = true}, x);
    one("3x3 stride 2 padding 2", 20, 3, 3, {.stride = 2, .padding = 2, .bias = true}, x);
    one("3x3 stride 3 output_padding 2", 20, 2, 3, {.stride = 3, .output_padding = 2, .bias = true}, x);
    ConvTransposeOptions const doubling{.stride = 2, .padding = 1, .bias = true};
    one("4x4 stride 2", 20, 3, 4, doubling, x);
    one("4x4 stride 2, GELU", 20, 3, 4, doubling, x, Function::gelu);
    one("4x4 stride 2, ReLU", 20, 3, 4, doubling, x, relu);
    one("4x4 stride 2 of a pixel", 17, 3, 4, doubling, pixel);
    one("4x4 stride 4", 20, 1, 4, {.stride = 4, .bias = true}, x);
    one("5x5 stride 3", 20, 2, 5, {.stride = 3, .bias = true}, x);
    one("5x5 stride 3 padding 2 output_padding 1", 20, 2, 5,
        {.stride = 3, .padding = 2, .output_padding = 1, .bias = true}, x);
    one("5x5 stride 3 of a pixel, SiLU", 17, 2, 5, {.stride = 3, .padding = 2, .bias = true}, pixel, Function::silu);
    one("4x4 stride 2 groups 2", 32, 2, 4, {.stride = 2, .padding = 1, .groups = 2, .bias = true}, grouped);
    one("2x2 stride 2 groups 2 of whole lines", 32, 32, 2, {.stride = 2, .groups = 2}, grouped);
    one("3x3 stride 3 groups 5", 20, 10, 3, {.stride = 3, .groups = 5, .bias = true}, corner_.view());
    one("4x4 stride 2 depthwise", 20, 20, 4, {.stride = 2, .padding = 1, .groups = 20, .bias = true},
        corner_34_.view());
    one("3x3 depthwise, two outputs of a channel", 20, 40, 3, {.groups = 20, .bias = true}, corner_.view());
  }

  void add_convolutions() {
    struct Named {
      std::string name;
      Activation<T> activation;
    };
    Map const three = three_.view(), wide = wide_.view(), grouped = grouped_.view();
    auto const convolution = filled(Conv2d<T>(2, 3, 3, {.padding = 1, .bias = true}));
    for (Named const& function : {Named{"sigmoid", Function::sigmoid},
                                  {"tanh", Function::tanh},
                                  {"gelu", Function::gelu},
                                  {"gelu_tanh", Function::gelu_tanh},
                                  {"silu", Function::silu},
                                  {"hard_sigmoid", Function::hard_sigmoid},
                                  {"hard_swish", Function::hard_swish},
                                  {"clamp", clamp(-0.75, 1.5)},
                                  {"relu", relu},
                                  {"leaky_relu", leaky_relu(0.125)}}) {
      std::string const& name = function.name;
      Activation<T> const& activation = function.activation;
      add("function " + name, [wide, f = activation](Context<T>& context) {
        ArenaMap<T> output(context.arena, wide.shape());
        activate<T>(context, f, wide, output);
        return output;
      });
      add("convolution, " + name,
          [=, f = activation, input = few](Context<T>& context) { return convolution->layer(context, input, f); });
      auto const with_residual = [&](char const* text, Epilogue<T> const& epilogue) {
        add("convolution, " + name + text, [convolution, epilogue, input = few](Context<T>& context) {
          ArenaMap<T> output(context.arena, {5, 7, 3});
          convolution->layer.forward(context, input, output, epilogue);
          return output;
        });
      };
      with_residual(", added", {.activation = activation, .residual = three});
      with_residual(", subtracted", {.activation = activation, .subtract_from = three});
    }
    auto const one = [&](char const* name, Index in, Index out, Index kernel, ConvOptions options, Map map,
                         Function function) {
      options.bias = true;
      add_layer(name, Conv2d<T>(in, out, kernel, options), map, Activation<T>(function));
    };
    one("convolution of whole lines, gelu", 20, 16, 3, {.padding = 1}, x, Function::gelu);
    one("1x1 convolution, silu", 20, 17, 1, {.padding = 0}, x, Function::silu);
    one("convolution of stride 2, tanh", 20, 9, 3, {.stride = 2, .padding = 1}, x, Function::tanh);
    one("grouped convolution, gelu", 32, 32, 3, {.padding = 1, .groups = 2}, grouped, Function::gelu);
    one("grouped convolution of parts of lines, silu", 20, 10, 3, {.padding = 1, .groups = 5}, x, Function::silu);
    one("depthwise convolution, hard_swish", 20, 20, 3, {.padding = 1, .groups = 20}, x, Function::hard_swish);
    add_layer("1x1 convolution, gate", Conv2d<T>(20, 64, 1, {.padding = 0, .bias = true}), rows(x, 0, 2),
              Activation<T>(simple_gate));
    add_layer("3x3 convolution, gate", Conv2d<T>(20, 10, 3, {.padding = 1, .bias = true}), x,
              Activation<T>(simple_gate));
    add_layer("depthwise convolution, gate", Conv2d<T>(32, 32, 3, {.padding = 1, .groups = 32, .bias = true}), grouped,
              Activation<T>(simple_gate));
    add_layer("linear", Linear<T>(20, 6, {.bias = true}), x);
    add_layer("linear without bias, GELU", Linear<T>(20, 5), x, Activation<T>(Function::gelu));
  }

  void add_pools() {
    auto const both = [&](std::string const& text, Map map, Index window, PoolOptions const& options,
                          bool each = true) {
      add("max pool " + text, [=](Context<T>& context) { return max_pool(context, map, window, options); });
      add("average pool " + text, [=](Context<T>& context) { return average_pool(context, map, window, options); });
      PoolOptions left_out = options;
      left_out.count_include_pad = false;
      if (!each) return;
      add("average pool " + text + ", padding left out",
          [=](Context<T>& context) { return average_pool(context, map, window, left_out); });
    };
    both("2", few, 2, {});
    both("3, stride 2, padding 1", few, 3, {.stride = 2, .padding = 1});
    both("4, stride 2, padding 1, ceil_mode 1", few, 4, {.stride = 2, .padding = 1, .ceil_mode = true});
    both("3, stride 1", few, 3, {.stride = 1});
    both("2, stride 2, ceil_mode 1", few, 2, {.stride = 2, .ceil_mode = true});
    both("2, stride 3, padding 1, ceil_mode 1", few, 2, {.stride = 3, .padding = 1, .ceil_mode = true});
    both("5, padding 2", few, 5, {.padding = 2});
    both("of all channels", x, 2, {}, false);
    Map const less = less_.view();
    add("global average", [map = many](Context<T>& context) { return global_average(context, map); });
    add("global average of all channels", [map = x](Context<T>& context) { return global_average(context, map); });
    add("global max", [less](Context<T>& context) { return global_max(context, less); });
    add("global max of all channels", [map = x](Context<T>& context) { return global_max(context, map); });
  }

  void add_activations() {
    add_in_place("softmax of channels", logits_.view(),
                 [](auto& context, View<T> map) { softmax_of_channels(context, map); });
    for (auto const& [name, map] :
         {std::pair{"softmax of pixels", &plane_logits_}, {"softmax of pixels, all channels", &logits_}}) {
      add_in_place(name, map->view(), [](auto& context, View<T> in_place) { softmax_of_pixels(context, in_place); });
    }
  }

  void add_resized() {
    struct Mode {
      std::string name;
      ResizeOptions options;
    };
    Map const pixel = pixel_.view();
    for (auto const& [name, options] : {Mode{"nearest ", {.mode = Interpolation::nearest}},
                                        {"bilinear ", {.mode = Interpolation::bilinear}},
                                        {"bilinear ", {.mode = Interpolation::bilinear, .align_corners = true}},
                                        {"bicubic ", {.mode = Interpolation::bicubic}},
                                        {"bicubic ", {.mode = Interpolation::bicubic, .align_corners = true}}}) {
      std::string const corners = options.align_corners ? ", corners" : "";
      for (auto const& [text, factor] : {std::pair{"0.5", 0.5}, {"1.5", 1.5}, {"2", 2.0}, {"2.7", 2.7}, {"3", 3.0}}) {
        add(name + text + corners,
            [map = few, f = factor, o = options](Context<T>& context) { return resize(context, map, f, o); });
      }
      for (Shape const size : {Shape{10, 14, 2}, {3, 4, 2}, {7, 5, 2}, {1, 1, 2}, {5, 7, 2}, {1, 9, 2}}) {
        std::ostringstream text;
        text << "to " << size.width << 'x' << size.height << corners;
        add(name + text.str(), [map = few, size, o = options](Context<T>& context) {
          ArenaMap<T> output(context.arena, size);
          resize(context, map, o, output.view());
          return output;
        });
      }
    }
    add("bilinear 1.5 of all channels", [map = Map(corner_.view())](Context<T>& context) {
      return resize(context, map, 1.5, {.mode = Interpolation::bilinear});
    });
    add("bicubic of a pixel",
        [pixel](Context<T>& context) { return resize(context, pixel, 2.0, {.mode = Interpolation::bicubic}); });
  }

  void add_normalized() {
    Map const far = far_.view();
    add_layer("layer norm", LayerNorm<T>(20), x);
    add_layer("layer norm, eps 1e-6", LayerNorm<T>(20, {.eps = 1e-6}), x);
    add_layer("layer norm of two channels", LayerNorm<T>(2), few);
    add_layer("layer norm, not affine", LayerNorm<T>(20, {.affine = false}), x);
    add_layer("instance norm", InstanceNorm2d<T>(2), many);
    add_layer("instance norm, affine", InstanceNorm2d<T>(20, {.affine = true}), x);
    add_layer("instance norm, affine, eps 0.25", InstanceNorm2d<T>(20, {.eps = 0.25, .affine = true}), x);
    if constexpr (std::is_same_v<T, bfloat16>) return;  // which does not hold numbers around 1000
    add_layer("instance norm, mean 1000", InstanceNorm2d<T>(2), far);
    add_layer("instance norm, affine, mean 1000", InstanceNorm2d<T>(2, {.affine = true}), far);
  }

  void add_combined() {
    Map const vector = vector_.view(), plane = plane_.view();
    auto const constant = filled(Constant<T>(2));
    auto const each = [&](std::string const& name, auto function) {
      auto const one = [&](char const* text, Map left, auto right) {
        add(name + text, [=](Context<T>& context) { return function(context, left, right()); });
      };
      one(" a map", x, [map = y] { return map; });
      one(" a vector", few, [vector] { return vector; });
      one(" a plane", few, [plane] { return plane; });
      one(" a constant", few, [constant] { return Map(constant->layer); });
    };
    each("add", [](auto& context, Map left, Map right) { return mirnet::add(context, left, right); });
    each("subtract", [](auto& context, Map left, Map right) { return subtract(context, left, right); });
    each("multiply", [](auto& context, Map left, Map right) { return multiply(context, left, right); });
    auto const sum_of_products = [&](char const* name, Map map, Map left, Map right) {
      add(name, [=](Context<T>& context) {
        ArenaMap<T> output(context.arena, map.shape());
        addcmul<T>(context, map, left, right, output);
        return output;
      });
    };
    sum_of_products("addcmul", x, y, x);
    sum_of_products("addcmul of a vector", few, few, vector);
    add("channels 3 to 9", [map = x](Context<T>& context) { return copy_channels(context, map, 3, 6); });
    add("channels 16 to 20", [map = x](Context<T>& context) { return copy_channels(context, map, 16, 4); });
  }
};

/// The output: rehearsed, then computed in exactly that memory, which holds NaN before.
template <class T>
Tensor<T> output_of(Forward<T> const& forward, KernelTable<T> const& kernels, ParallelFor threads) {
  auto rehearsal = Context<T>::for_rehearsal(kernels, threads);
  Shape const shape = forward(rehearsal).shape();
  REQUIRE(rehearsal.status().ok());
  CHECK(rehearsal.arena.live_blocks() == 0);
  auto const memory = Memory::allocate(rehearsal.arena.peak()).value();
  std::memset(memory.bytes().data(), 0xFF, memory.bytes().size());
  auto output = Tensor<T>::create(shape).value();
  Context<T> context(kernels, threads);
  context.arena = Arena(memory.bytes());
  {
    auto const result = forward(context);
    REQUIRE(context.status().ok());
    REQUIRE(result.shape() == shape);
    std::copy_n(result.view().data(), shape.pixels() * output.view().pitch(), output.view().data());
  }
  CHECK(context.arena.peak() == rehearsal.arena.peak());
  CHECK(context.arena.live_blocks() == 0);
  CHECK(context.macs == rehearsal.macs);
  CHECK(context.nodes == rehearsal.nodes);
  return output;
}

/// The largest difference over the largest magnitude; infinite where padding is not zero.
template <class T>
double difference(View<T const> map, Golden const& golden) {
  double worst = 0.0, largest = 0.0;
  for (Index pixel = 0; pixel < map.pixels(); ++pixel) {
    for (Index c = 0; c < map.pitch(); ++c) {
      double const found = static_cast<double>(map.data()[pixel * map.pitch() + c]);
      if (c >= map.channels()) {
        if (found != 0.0) return std::numeric_limits<double>::infinity();
        continue;
      }
      double const wanted = golden.values[static_cast<std::size_t>(c * map.pixels() + pixel)];
      largest = std::max(largest, std::abs(wanted));
      if (!(std::abs(found - wanted) <= worst)) worst = std::abs(found - wanted);
    }
  }
  return worst / std::max(largest, 1e-3);
}

/// All cases on these kernels, with the same bits whatever the number of threads.
template <class T>
void check(LayerCases<T> const& cases, KernelTable<T> const& kernels, double bound) {
  INFO(std::string(kernels.isa));
  ThreadPool two(2), seven(7);
  for (auto const& one : cases.list) {
    std::string const& name = one.first;
    Forward<T> const& forward = one.second;
    INFO(name);
    auto const found = goldens().find(name);
    if (found == goldens().end()) {
      FAIL_CHECK("no golden");
      continue;
    }
    auto const output = output_of(forward, kernels, {});
    REQUIRE(output.shape() == found->second.shape);
    CHECK(difference<T>(output.view(), found->second) <= bound);
    for (ParallelFor const& threads : {ParallelFor(two), ParallelFor(seven), backwards(3)}) {
      auto const again = output_of(forward, kernels, threads);
      std::size_t const bytes = static_cast<std::size_t>(output.view().pixels() * output.view().pitch()) * sizeof(T);
      CHECK(std::memcmp(output.view().data(), again.view().data(), bytes) == 0);
    }
  }
}

}  // namespace

TEST_CASE("layers are PyTorch's") {
  LayerCases<float> const floats;
  LayerCases<double> const doubles;
  CHECK(floats.list.size() == goldens().size());
  for (auto const* kernels : kernel_tables()) check(floats, *kernels, 1e-6);
  check(doubles, plain_kernels<double>(), 1e-13);
  check(doubles, eigen_kernels<double>(), 1e-13);
  LayerCases<bfloat16> const halves;
  for (auto const& set : bfloat16_tables()) check(halves, *set.halves, 8e-3);
}
