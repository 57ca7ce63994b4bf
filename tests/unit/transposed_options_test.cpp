// The options of a transposed convolution - stride, padding, output padding, groups, bias, activation - against
// PyTorch's definition, written out here in the checkpoint's order of the weights: each input pixel adds the kernel to
// the output.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include <mirnet/layers/convolution.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"
#include "support/schedulers.hpp"
#include "support/slow.hpp"

using namespace mirnet;
using namespace test;

namespace {

enum class After { nothing, leaky_relu, slopes, tanh };

struct Case {
  Index height, width, in, out, kernel;
  ConvTransposeOptions options;
  After after = After::nothing;

  std::string text() const {
    char const* const activations[] = {"none", "leaky_relu", "prelu of channels", "tanh"};
    std::ostringstream text;
    text << width << 'x' << height << ", " << in << " to " << out << " channels, kernel " << kernel << ", stride "
         << options.stride << ", padding " << options.padding << ", output_padding " << options.output_padding
         << ", groups " << options.groups << (options.bias ? ", bias" : "") << ", activation "
         << activations[static_cast<int>(after)];
    return text.str();
  }

  Index pixels_of(Index n) const {
    return (n - 1) * options.stride - 2 * options.padding + kernel + options.output_padding;
  }
};

/// A layer with parameters, which every type holds exactly, and its input.
template <class T>
struct Operands {
  Operands(Case const& c, Random& random)
      : layer(c.in, c.out, c.kernel, c.options),
        packed(layer.packed_elements() + pixel_pitch<T>(c.out)),
        packed_slopes(pixel_pitch<T>(c.out)),
        channel_prelu(c.out),
        input(Tensor<T>::create({c.height, c.width, c.in}).value()) {
    auto const filled = [&](Index count) {
      std::vector<T> values(static_cast<std::size_t>(count));
      for (T& value : values) value = static_cast<T>(static_cast<float>(bfloat16(random.uniform())));
      return values;
    };
    weights = filled(layer.shape().elements()), bias = filled(c.out), slopes = filled(c.out);
    layer.pack(packed.data(), 0, weights);
    layer.bind(packed.data());
    if (layer.has_bias()) layer.bias().pack(packed.data() + layer.packed_elements(), 0, bias);
    channel_prelu.pack(packed_slopes.data(), 0, slopes);
    channel_prelu.bind(packed_slopes.data());
    for (Index pixel = 0; pixel < c.height * c.width; ++pixel) {
      std::ranges::copy(filled(c.in), input.view().pixel(pixel / c.width, pixel % c.width));
    }
  }

  Activation<T> activation(After after) const {
    switch (after) {
      case After::leaky_relu: return leaky_relu(0.25);
      case After::slopes: return channel_prelu;
      case After::tanh: return Function::tanh;
      default: return {};
    }
  }

  ConvTranspose2d<T> layer;
  std::vector<T> weights, bias, slopes;
  Buffer<T> packed, packed_slopes;
  ChannelPRelu<T> channel_prelu;
  Tensor<T> input;
};

/// The output by the definition; of its channels, those of one pixel side by side.
std::vector<double> expected(Case const& c, Operands<double> const& operands) {
  Index const height = c.pixels_of(c.height), width = c.pixels_of(c.width);
  Index const inputs = c.in / c.options.groups, outputs = c.out / c.options.groups;
  std::vector<double> result(static_cast<std::size_t>(height * width * c.out));
  auto const at = [&](Index y, Index x, Index o) -> double& {
    return result[static_cast<std::size_t>((y * width + x) * c.out + o)];
  };
  for (Index y = 0; y < c.height; ++y) {
    for (Index x = 0; x < c.width; ++x) {
      for (Index tap = 0; tap < c.kernel * c.kernel; ++tap) {
        Index const to_y = y * c.options.stride - c.options.padding + tap / c.kernel;
        Index const to_x = x * c.options.stride - c.options.padding + tap % c.kernel;
        if (to_y < 0 || to_y >= height || to_x < 0 || to_x >= width) continue;
        for (Index i = 0; i < c.in; ++i) {
          for (Index o = 0; o < outputs; ++o) {
            auto const weight = static_cast<std::size_t>((i * outputs + o) * c.kernel * c.kernel + tap);
            at(to_y, to_x, i / inputs * outputs + o) += operands.weights[weight] * operands.input.view()(y, x, i);
          }
        }
      }
    }
  }
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::size_t const o = i % static_cast<std::size_t>(c.out);
    double const sum = result[i] + (c.options.bias ? operands.bias[o] : 0.0);
    double const slopes[] = {1.0, 0.25, operands.slopes[o]};
    result[i] = c.after == After::tanh ? std::tanh(sum) : sum > 0.0 ? sum : sum * slopes[static_cast<int>(c.after)];
  }
  return result;
}

template <class T>
Tensor<T> run(Operands<T> const& operands, Case const& c, KernelTable<T> const& kernels, ParallelFor threads,
              Algorithm algorithm) {
  Shape const shape{c.pixels_of(c.height), c.pixels_of(c.width), c.out};
  REQUIRE(operands.layer.output_shape(operands.input.shape()) == shape);
  auto output = Tensor<T>::create(shape).value();
  auto const forward = [&](Context<T>& context) {
    context.algorithm = algorithm;
    operands.layer.forward(context, operands.input.view(), output.view(), operands.activation(c.after));
  };
  auto rehearsal = Context<T>::for_rehearsal(kernels, threads);
  forward(rehearsal);
  auto const memory = Memory::allocate(rehearsal.arena.peak()).value();
  std::memset(memory.bytes().data(), 0xFF, memory.bytes().size());  // NaN
  Context<T> context(kernels, threads);
  CHECK(context.compute_in(memory.bytes(), [&] { forward(context); }).ok());
  CHECK(context.macs == rehearsal.macs);
  CHECK(context.macs ==
        static_cast<std::uint64_t>(c.height * c.width * c.kernel * c.kernel * c.out * (c.in / c.options.groups)));
  return output;
}

template <class T>
void check(Case const& c, KernelTable<T> const& kernels, std::vector<double> const& wanted, std::uint64_t seed,
           double unit) {
  Random random(seed);
  Operands<T> const operands(c, random);
  Index const taps = divide_up(c.kernel, c.options.stride);
  double const bound = unit * static_cast<double>(taps * taps * c.in / c.options.groups + 2);
  for (Algorithm const algorithm : {Algorithm::automatic, Algorithm::precise, Algorithm::direct}) {
    INFO(c.text(), ", ", std::string(kernels.isa), ", algorithm ", static_cast<int>(algorithm));
    auto const output = run(operands, c, kernels, {}, algorithm);
    double worst = 0.0;
    for (Index pixel = 0; pixel < output.view().pixels(); ++pixel) {
      T const* const found = output.view().pixel(pixel / output.view().width(), pixel % output.view().width());
      for (Index o = 0; o < output.view().pitch(); ++o) {
        bool const padding = o >= c.out;
        double const value = padding ? 0.0 : wanted[static_cast<std::size_t>(pixel * c.out + o)];
        double const off = std::abs(static_cast<double>(found[o]) - value);
        if (!(off <= (padding ? 0.0 : worst))) worst = padding ? 1e9 : off;
      }
    }
    CHECK(worst <= bound);
    ThreadPool pool(3);
    for (ParallelFor const& threads : {ParallelFor(pool), backwards(2)}) {
      auto const again = run(operands, c, kernels, threads, algorithm);
      std::size_t const bytes = static_cast<std::size_t>(output.view().pixels() * output.view().pitch()) * sizeof(T);
      CHECK(std::memcmp(output.view().data(), again.view().data(), bytes) == 0);
    }
  }
}

std::vector<Case> cases() {
  ConvTransposeOptions const doubling{.stride = 2, .padding = 1}, halves{.stride = 2};
  std::vector<Case> list{
      {30, 27, 32, 32, 4, doubling, After::tanh},
      {30, 27, 32, 17, 3, {.stride = 2, .padding = 1, .output_padding = 1, .bias = true}, After::tanh},
      {30, 27, 16, 32, 3, doubling, After::leaky_relu},
      {13, 20, 64, 32, 2, halves, After::slopes},
      {1, 20, 16, 16, 4, doubling},
      {20, 1, 16, 16, 3, doubling},
      {1, 1, 20, 20, 3, doubling},
      {12, 12, 32, 32, 4, {.stride = 2, .padding = 1, .groups = 2, .bias = true}, After::tanh},
      {12, 12, 32, 64, 4, {.stride = 2, .padding = 1, .groups = 2}, After::slopes},
      {12, 12, 24, 36, 3, {.stride = 2, .padding = 1, .output_padding = 1, .groups = 4}, After::tanh},
      {9, 11, 40, 40, 4, {.stride = 2, .padding = 1, .groups = 40, .bias = true}, After::tanh},
      {9, 11, 300, 300, 2, {.stride = 2, .groups = 300}},
      {9, 8, 16, 16, 15, {.stride = 15, .padding = 7, .output_padding = 14}},
      {9, 8, 5, 16, 15, {.padding = 9}},
      {17, 19, 5, 16, 15, {.padding = 14}},
      {30, 30, 32, 32, 3, {.padding = 1}},
      {21, 17, 16, 16, 4, {.stride = 2, .padding = 3, .bias = true}},
      {21, 17, 16, 16, 5, {.stride = 2, .padding = 2, .output_padding = 1}, After::tanh},
      {21, 17, 16, 16, 6, {.stride = 2, .padding = 2}},
  };
  Random random(91);
  for (int i = 0; i < (test::slow ? 15 : 60); ++i) {
    Index const groups = random.pick({Index{1}, Index{1}, Index{2}, Index{3}, Index{16}});
    Index const stride = random.pick({Index{1}, Index{2}, Index{2}, Index{2}, Index{3}, Index{4}});
    Case const c{random.between(1, 16),
                 random.between(1, 16),
                 groups * random.between(1, 20),
                 groups * random.between(1, 20),
                 random.between(stride, stride + 4),
                 {.stride = stride,
                  .padding = random.between(0, 3),
                  .output_padding = random.between(0, stride - 1),
                  .groups = groups,
                  .bias = random.between(0, 1) == 1},
                 static_cast<After>(random.between(0, 3))};
    if (c.pixels_of(c.height) > 0 && c.pixels_of(c.width) > 0) list.push_back(c);
  }
  return list;
}

}  // namespace

TEST_CASE("transposed convolutions with every option, on all kernels") {
  std::uint64_t seed = 0;
  test::Cases parts(3);
  for (auto const& c : cases()) {
    if (parts.next_is_left_out()) continue;
    Random random(++seed);
    Operands<double> const operands(c, random);
    auto const wanted = expected(c, operands);
    for (auto const* kernels : kernel_tables()) check<float>(c, *kernels, wanted, seed, 4e-7);
    for (auto const& set : bfloat16_tables()) check<bfloat16>(c, *set.halves, wanted, seed, 1e-2);
    check<double>(c, plain_kernels<double>(), wanted, seed, 1e-15);
    check<double>(c, eigen_kernels<double>(), wanted, seed, 1e-15);
  }
}

TEST_CASE("the weights of transposed convolutions arrive in any pieces, and are found where they are") {
  Random random(92);
  for (auto const& c : cases()) {
    INFO(c.text());
    ConvTranspose2d<float> const layer(c.in, c.out, c.kernel, c.options);
    std::vector<float> weights(static_cast<std::size_t>(layer.shape().elements()));
    fill(std::span(weights), random);
    std::vector<float> whole(static_cast<std::size_t>(layer.packed_elements())), pieces = whole;
    layer.pack(whole.data(), 0, weights);
    in_ranges(static_cast<Index>(weights.size()), 100, &random, [&](Index first, Index last) {
      layer.pack(pieces.data(), first,
                 std::span(weights).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first)));
    });
    CHECK(whole == pieces);
    Index wrong = 0, empty = 0;
    constexpr Index line = packed_line<float>;
    for (Index at = 0; at < layer.packed_elements(); ++at) {
      Index const from = layer.packed_from(line, at);
      empty += from == no_element;
      float const value = from == no_element ? 0.0f : weights[static_cast<std::size_t>(from)];
      wrong += whole[static_cast<std::size_t>(at)] != value;
      if (from != no_element) wrong += layer.packed_at(line, from) != at;
    }
    CHECK(wrong == 0);
    CHECK(layer.packed_elements() - empty == layer.shape().elements());
  }
}

TEST_CASE("transposed convolutions beyond their limits have no channels") {
  auto const refused = [](Index in, Index out, Index kernel, ConvTransposeOptions const& options) {
    auto context = Context<float>::for_rehearsal(plain_kernels<float>());
    ConvTranspose2d<float>(in, out, kernel, options)(context, View<float const>(nullptr, {4, 4, in}));
    return !context.status().ok();
  };
  CHECK(!refused(16, 8, 4, {.stride = 2, .padding = 1, .groups = 4}));
  CHECK(refused(16, 8, 16, {.stride = 2}));
  CHECK(refused(16, 8, 2, {.stride = 3}));
  CHECK(refused(16, 8, 3, {.stride = 0}));
  CHECK(refused(16, 8, 3, {.stride = 2, .padding = 16}));
  CHECK(refused(16, 8, 3, {.stride = 2, .padding = -1}));
  CHECK(refused(16, 8, 3, {.stride = 2, .output_padding = 2}));
  CHECK(refused(16, 8, 3, {.groups = 3}));
  CHECK(refused(16, 8, 3, {.groups = 16}));
  CHECK(refused(16, 8, 3, {.groups = 0}));
  CHECK(refused(510, 510, 3, {.groups = 255}));
  CHECK(refused(70000, 8, 3, {}));
}
