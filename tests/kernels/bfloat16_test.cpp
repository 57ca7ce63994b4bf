// The kernels of bfloat16: they sum in float, so each agrees with the float kernels on the same numbers but for the
// rounding of what is stored; and, where products are of bfloat16 too, of what fast convolutions transform.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <list>
#include <string>
#include <vector>

#include <mirnet/networks/mirnet/multi_scale_block.hpp>
#include <mirnet/networks/mirnet_v2/multi_scale_block.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/buffer.hpp"
#include "support/kernel_tables.hpp"
#include "support/random.hpp"

using namespace mirnet;
using namespace test;

namespace {

/// body(the set's float kernels, its bfloat16 kernels)
template <class Body>
void every_set(Body&& body) {
  int sets = MIRNET_NO_SIMD;  // without SIMD there are no such kernels
  for (auto const& set : bfloat16_tables()) {
    INFO(std::string(set.halves->isa));
    body(*set.floats, *set.halves);
    ++sets;
  }
#if defined(MIRNET_HAS_EMULATED)
  // What AVX512_BF16 makes of them.
  INFO("emulated");
  body(test::plain_kernels<float>(), *mirnet::linked::bfloat16_kernels_emulated());
  ++sets;
#endif
  CHECK(sets > 0);
}

float rounded(float value) { return static_cast<float>(bfloat16(value)); }

/// Fills the layers it visits with numbers that a bfloat16 holds: the same ones for every type.
template <class T>
struct Filling {
  Random random{7};
  std::list<Buffer<T>> memory{};

  template <class Layer>
  void operator()(Layer& layer, Name const&) {
    auto const shape = layer.shape();
    memory.emplace_back(round_up(layer.packed_elements(), packed_line<T>));  // as in a model: kernels read whole lines
    layer.bind(memory.back().data());
    float const scale = 1.0f / std::sqrt(static_cast<float>(shape.elements() / shape.dim[0]));
    std::vector<T> values(static_cast<std::size_t>(shape.elements()));
    for (T& value : values) value = static_cast<T>(rounded(random.uniform(-2.0f * scale, 2.0f * scale)));
    layer.pack(memory.back().data(), 0, values);
  }
};

/// What a block makes of a map of random numbers, as floats without the padding.
template <class T, class Block>
std::vector<float> run(KernelTable<T> const& kernels, Algorithm algorithm, Block block, Shape in, Shape out) {
  Filling<T> filling;
  PRelu<T> prelu;
  T const slope[] = {static_cast<T>(0.25f)};
  prelu.pack(nullptr, 0, slope);
  auto input = Tensor<T>::create(in).value(), output = Tensor<T>::create(out).value();
  Random random(3);
  for (Index pixel = 0; pixel < in.pixels(); ++pixel) {
    for (Index c = 0; c < in.channels; ++c) {
      input.view().data()[pixel * input.view().pitch() + c] = static_cast<T>(rounded(random.uniform()));
    }
  }
  auto const memory = Memory::allocate(32 << 20).value();
  Context<T> context(kernels);
  context.algorithm = algorithm;
  context.arena = Arena(memory.bytes());
  block(filling, context, prelu, std::as_const(input).view(), output.view());
  std::vector<float> values;
  for (Index pixel = 0; pixel < out.pixels(); ++pixel) {
    for (Index c = 0; c < output.view().pitch(); ++c) {
      float const value = static_cast<float>(output.view().data()[pixel * output.view().pitch() + c]);
      if (c < out.channels)
        values.push_back(value);
      else
        CHECK(value == 0.0f);  // the padding
    }
  }
  return values;
}

/// Rounding a result once costs 2^-9 at most, 2^-9 / sqrt(3) in the mean of squares.
constexpr double one_rounding = 0x1p-9;

/// `block(filling, context, prelu, in, out)` in both types: the root mean square of the difference is at most
/// `roundings` of that of the result.
template <class Block>
void check(char const* name, Shape in, Shape out, double roundings, Block block) {
  every_set([&](KernelTable<float> const& floats, KernelTable<bfloat16> const& halves) {
    std::string const isa = halves.isa;
    bool const products_of_bfloat16 = isa == "avx512bf16" || isa == "emulated";
    for (Algorithm const algorithm : {Algorithm::automatic, Algorithm::direct}) {
      // A 3x3 by tiles of 4x4 loses 1.2 percent, six roundings; what follows it adds some.
      bool const tiles_are_rounded = products_of_bfloat16 && algorithm == Algorithm::automatic;
      double const bound = one_rounding * (tiles_are_rounded ? roundings + 6.0 : roundings);
      INFO(std::string(name), algorithm == Algorithm::direct ? ", direct" : "");
      auto const expected = run(floats, algorithm, block, in, out), actual = run(halves, algorithm, block, in, out);
      REQUIRE(actual.size() == expected.size());
      double difference = 0.0, magnitude = 0.0;
      for (std::size_t i = 0; i < actual.size(); ++i) {
        double const error = static_cast<double>(actual[i]) - static_cast<double>(expected[i]);
        difference += error * error;
        magnitude += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
      }
      CHECK(magnitude > 0.0);
      CHECK(std::sqrt(difference / magnitude) <= bound);
    }
  });
}

/// A convolution that keeps height and width: its result is rounded once.
void check_conv2d(char const* name, Shape in, Index out_channels, Index kernel, float slope = 1.0f, Index groups = 1) {
  check(name, in, {in.height, in.width, out_channels}, 1, [=](auto& filling, auto& context, auto&, auto from, auto to) {
    using T = std::remove_cvref_t<decltype(*to.data())>;
    Conv2d<T> layer(in.channels, out_channels, kernel, {.groups = groups});
    filling(layer, Name("layer"));
    layer.forward(context, from, to, {.activation = leaky_relu(static_cast<float>(slope))});
  });
}

}  // namespace

TEST_CASE("bfloat16: rounded to the nearest, ties to even, infinities and NaNs kept") {
  auto const bits = [](float value) { return bfloat16(value).bits; };
  CHECK(bits(1.0f) == 0x3F80);
  CHECK(bits(-2.0f) == 0xC000);
  CHECK(bits(std::bit_cast<float>(0x3F808000u)) == 0x3F80);  // halfway to the next: the even one
  CHECK(bits(std::bit_cast<float>(0x3F818000u)) == 0x3F82);
  CHECK(bits(std::bit_cast<float>(0x3F808001u)) == 0x3F81);
  CHECK(bits(std::numeric_limits<float>::max()) == 0x7F80);  // nearer to infinity
  CHECK(bits(std::numeric_limits<float>::infinity()) == 0x7F80);
  CHECK(std::isnan(static_cast<float>(bfloat16(std::bit_cast<float>(0x7F800001u)))));
  CHECK(bits(0.0f) == 0);
}

TEST_CASE("bfloat16: kernels load and store every number as the scalar conversion does") {
  every_set([](KernelTable<float> const&, KernelTable<bfloat16> const& kernels) {
    // A slope of one leaves every number as it is.
    Buffer<bfloat16> all(1 << 16);
    for (Index i = 0; i < all.size(); ++i) all[i].bits = static_cast<std::uint16_t>(i);
    kernels.prelu(all.data(), all.size(), bfloat16(1));
    for (Index i = 0; i < all.size(); ++i) {
      bfloat16 expected;
      expected.bits = static_cast<std::uint16_t>(i);
      if (std::isnan(static_cast<float>(expected))) {
        CHECK(std::isnan(static_cast<float>(all[i])));
      } else {
        bool const as_zero = flushes_denormals(kernels) && std::fpclassify(float(expected)) == FP_SUBNORMAL;
        CHECK(all[i].bits == (as_zero ? expected.bits & 0x8000 : expected.bits));
      }
    }
    // A slope of a third makes numbers that have to be rounded.
    Random random(5);
    Buffer<bfloat16> some(4096), before(4096);
    for (Index i = 0; i < some.size(); ++i) before[i] = some[i] = bfloat16(random.uniform(-8.0f, 0.0f));
    bfloat16 const third(1.0f / 3.0f);
    kernels.prelu(some.data(), some.size(), third);
    for (Index i = 0; i < some.size(); ++i) CHECK(some[i].bits == bfloat16(float(before[i]) * float(third)).bits);
  });
}

TEST_CASE("bfloat16: kernels that round several registers at a time round each number as the scalar conversion does") {
  every_set([](KernelTable<float> const&, KernelTable<bfloat16> const& kernels) {
    // Every number times a factor for its channel: the products of 1 are exact, those of 1/3 are rounded, many of the
    // others overflow; with 1 + 2^-7 there are ties. A NaN comes alone among numbers, and among NaNs.
    constexpr Index pitch = 32, pixels = (1 << 16) / pitch;
    for (float const factor : {1.0f, 1.0f / 3.0f, -0x1p100f, 1.0f + 0x1p-7f}) {
      INFO("factor ", factor);
      Buffer<bfloat16> in(pixels * pitch), out(pixels * pitch), weights(pitch, bfloat16(factor));
      for (Index i = 0; i < in.size(); ++i) in[i].bits = static_cast<std::uint16_t>(i % pixels * pitch + i / pixels);
      for (Index i = 0; i < in.size(); i += 97) in[i].bits = static_cast<std::uint16_t>(0x7F81 + i % 0x7F);
      WeightedSum<bfloat16> work{1, {in.data()}, {weights.data()}, pitch, out.data()};
      kernels.weighted_sum(work, 0, pixels);
      Index wrong = 0;
      for (Index i = 0; i < out.size(); ++i) {
        float const product = float(in[i]) * float(weights[0]);
        bfloat16 const expected(product);
        bool const small = std::abs(product) < std::numeric_limits<float>::min();
        if (std::isnan(product)) {
          wrong += !std::isnan(float(out[i])) || (out[i].bits & 0x0040) == 0;
        } else {
          // Without FloatMode, most sets keep numbers below the normal ones.
          wrong += out[i].bits != expected.bits && !(small && (out[i].bits & 0x7FFF) == 0);
        }
      }
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("bfloat16: layers and blocks agree with those of float but for the rounding of maps") {
  check_conv2d("3x3", {21, 30, 40}, 24, 3, 0.25f);
  check_conv2d("1x1", {9, 30, 64}, 80, 1);
  check_conv2d("odd channels, in two slices", {7, 9, 33}, 16, 3);
  check_conv2d("odd channels, 1x1", {7, 9, 33}, 16, 1);
  check_conv2d("5x5", {9, 12, 3}, 16, 5);
  struct {
    Index inputs, outputs, groups;
  } const grouped[] = {{4, 4, 4},  {5, 7, 3},   {6, 6, 4},  {9, 9, 4},   {16, 16, 2}, {20, 20, 4},
                       {20, 9, 5}, {30, 30, 4}, {32, 8, 2}, {45, 45, 4}, {40, 40, 2}, {6, 16, 8}};
  for (auto const& row : grouped) {
    INFO(row.groups, " groups, each of ", row.inputs, " to ", row.outputs, " channels");
    check_conv2d("grouped 3x3", {18, 23, row.groups * row.inputs}, row.groups * row.outputs, 3, 0.25f, row.groups);
    check_conv2d("grouped 1x1", {5, 9, row.groups * row.inputs}, row.groups * row.outputs, 1, 1.0f, row.groups);
  }
  check("transposed", {18, 13, 32}, {36, 26, 48}, 1, [](auto& filling, auto& context, auto&, auto in, auto out) {
    using T = std::remove_cvref_t<decltype(*out.data())>;
    ConvTranspose2d<T> layer(32, 48);
    filling(layer, Name("layer"));
    layer.forward(context, in, out, leaky_relu(0.25f));
  });
  check("dual attention", {20, 28, 48}, {20, 28, 48}, 4,
        [](auto& filling, auto& context, auto& prelu, auto in, auto out) {
          using T = std::remove_cvref_t<decltype(*out.data())>;
          DualAttention<T> block(48);
          block.layers(filling, Name("block"), nullptr);
          block.forward(context, in, out, prelu);
        });
  check("downsampling", {20, 28, 40}, {10, 14, 80}, 4, [](auto& filling, auto& context, auto&, auto in, auto out) {
    using T = std::remove_cvref_t<decltype(*out.data())>;
    Downsampling<T> block(40);
    block.layers(filling, Name("block"));
    block.forward(context, in, out);
  });
  check("upsampling", {20, 14, 80}, {40, 28, 40}, 4, [](auto& filling, auto& context, auto&, auto in, auto out) {
    using T = std::remove_cvref_t<decltype(*out.data())>;
    Upsampling<T> block(80);
    block.layers(filling, Name("block"));
    block.forward(context, in, out);
  });
  check("multi-scale block", {24, 32, 16}, {24, 32, 16}, 8,
        [](auto& filling, auto& context, auto& prelu, auto in, auto out) {
          using T = std::remove_cvref_t<decltype(*out.data())>;
          MultiScaleBlock<T> block(16, 3, 2);
          block.layers(filling, Name("block"), nullptr);
          block.forward(context, in, out, prelu);
        });
}

TEST_CASE("bfloat16: the blocks of MIRNet-v2 agree with those of float but for the rounding of maps") {
  check("averages of 2x2 pixels", {20, 28, 40}, {10, 14, 40}, 1, [](auto&, auto& context, auto&, auto in, auto out) {
    using T = std::remove_cvref_t<decltype(*out.data())>;
    average_halve<T>(context, in, out);
  });
  for (Index const groups : {1, 2, 4}) {
    INFO(groups, " groups");
    check("residual context", {20, 28, 36}, {20, 28, 36}, 4,
          [=](auto& filling, auto& context, auto&, auto in, auto out) {
            using T = std::remove_cvref_t<decltype(*out.data())>;
            ResidualContext<T> block(36, groups, false);
            block.layers(filling, Name("block"));
            block.forward(context, in, out);
          });
  }
  check("fusion", {20, 28, 24}, {20, 28, 24}, 4, [](auto& filling, auto& context, auto&, auto in, auto out) {
    using T = std::remove_cvref_t<decltype(*out.data())>;
    UpsamplingFusion<T> fusion(24);
    Conv2d<T> up(36, 24, 1);
    filling(up, Name("up"));
    fusion.layers(filling, Name("fusion"));
    ArenaMap<T> const half(context.arena, {10, 14, 24}), below(context.arena, {10, 14, 36});
    Conv2d<T> wider(24, 36, 1);
    filling(wider, Name("wider"));
    average_halve<T>(context, in, half);
    wider.forward(context, half, below);
    ChannelSums<T> sums(context, 24);
    ArenaMap<T> const zeros(context.arena, {1, 1, 24});
    context.once([&] { std::fill_n(zeros.view().data(), zeros.view().pitch(), T(0)); });
    context.once([&] { std::fill_n(out.data(), out.pixels() * out.pitch(), T(0)); });
    add_activated<T>(context, in, zeros, leaky_relu(1), out, &sums);  // a copy, with its sums
    typename UpsamplingFusion<T>::Rows rows(fusion, context, "fusion", "up", up, below, sums, out);
    rows.forward(context, 0, 12);
    rows.forward(context, 12, 20);
  });
  for (Index const group : {0, 1, 3}) {
    INFO("group ", group);
    check("multi-scale block", {24, 32, 16}, {24, 32, 16}, 8,
          [=](auto& filling, auto& context, auto&, auto in, auto out) {
            using T = std::remove_cvref_t<decltype(*out.data())>;
            MultiScaleBlockV2<T> block(MirnetV2Config{.features = 16, .blocks = 1}, group);
            block.layers(filling, Name("block"));
            block.forward(context, in, out);
          });
  }
}

TEST_CASE("bfloat16: 16 channels of a wider map are read and written like a map, and nothing beside them is touched") {
  every_set([](KernelTable<float> const&, KernelTable<bfloat16> const& kernels) {
    Shape const shape{20, 30, 16}, wide{20, 30, 48};
    for (Index const kernel : {1, 3}) {
      INFO("kernel ", kernel);
      Conv2d<bfloat16> layer(16, 16, kernel);
      Filling<bfloat16> filling;
      filling(layer, Name("layer"));
      auto input = Tensor<bfloat16>::create(shape).value(), expected = Tensor<bfloat16>::create(shape).value();
      auto from = Tensor<bfloat16>::create(wide).value(), to = Tensor<bfloat16>::create(wide).value();
      REQUIRE(input.view().pitch() == 16);
      REQUIRE(to.view().pitch() == 48);
      Random random(3);
      std::fill_n(to.view().data(), wide.pixels() * 48, bfloat16(7));
      std::fill_n(from.view().data(), wide.pixels() * 48, bfloat16(std::nanf("")));
      for (Index i = 0; i < shape.pixels() * 16; ++i) {
        from.view().data()[i / 16 * 48 + 16 + i % 16] = input.view().data()[i] = bfloat16(random.uniform());
      }
      auto const memory = Memory::allocate(1 << 20).value();
      Context<bfloat16> context(kernels);
      context.arena = Arena(memory.bytes());
      layer.forward(context, input, expected);
      layer.forward(context, channel_slice(from.view(), 16, 16), channel_slice(to.view(), 32, 16));
      Index wrong = 0;
      for (Index i = 0; i < wide.pixels() * 48; ++i) {
        Index const c = i % 48;
        std::uint16_t const found = to.view().data()[i].bits;
        wrong += found != (c < 32 ? bfloat16(7) : expected.view().data()[i / 48 * 16 + c - 32]).bits;
      }
      CHECK(wrong == 0);
    }
  });
}
