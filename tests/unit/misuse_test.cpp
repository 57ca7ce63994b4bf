// What a release build does where a debug build stops at an assertion: it computes nothing, writes nothing, and says
// so. This program is compiled without assertions, whatever the build.
#define MIRNET_ASSERT(condition) static_cast<void>(0)

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <mirnet/mirnet.hpp>
#include <mirnet/tensor/tensor.hpp>

using namespace mirnet;

namespace {

struct Fixture {
  Fixture() {
    layer.bind(weights.view().data());
    std::fill_n(weights.view().data(), layer.packed_elements(), 1.0f);
    std::fill_n(output.view().data(), output.view().pixels() * output.view().pitch(), 7.0f);
  }

  bool untouched() {
    View<float const> const view = output.view();
    return std::all_of(view.data(), view.data() + view.pixels() * view.pitch(), [](float x) { return x == 7.0f; });
  }
  void forward(Context<float>& context) {
    layer.forward(context, input.view(), output.view());
    CHECK(context.arena.live_blocks() == 0);
  }

  Conv2d<float> layer{16, 16, 3};
  Tensor<float> weights = Tensor<float>::create({1, 1, layer.packed_elements()}).value();
  Tensor<float> input = Tensor<float>::create({20, 20, 16}).value(),
                output = Tensor<float>::create({20, 20, 16}).value();
};

std::string error_of(Context<float> const& context, ErrorCode code) {
  auto const status = context.status();
  REQUIRE(!status.ok());
  CHECK(status.error().code() == code);
  return status.error().message();
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a context without memory") {
  Context<float> context(native_kernels());
  CHECK(context.status().ok());
  forward(context);
  CHECK(untouched());
  CHECK(error_of(context, ErrorCode::memory) == "the context's arena has 0 bytes, a layer needs more");

  auto const memory = Memory::allocate(1 << 20).value();
  context.arena = Arena(memory.bytes());
  CHECK(context.status().ok());
  forward(context);
  CHECK(context.status().ok());
  CHECK(!untouched());
}

TEST_CASE_FIXTURE(Fixture, "a context with too little memory") {
  auto rehearsal = Context<float>::for_rehearsal(native_kernels());
  forward(rehearsal);
  REQUIRE(rehearsal.status().ok());
  REQUIRE(rehearsal.arena.peak() > 64);
  auto const memory = Memory::allocate(rehearsal.arena.peak() - 64).value();
  Context<float> context(native_kernels());
  context.arena = Arena(memory.bytes());
  forward(context);
  CHECK(untouched());
  CHECK(error_of(context, ErrorCode::memory) ==
        "the context's arena has " + std::to_string(memory.bytes().size()) + " bytes, a layer needs more");
}

TEST_CASE("a network that holds more maps than an arena has blocks") {
  auto const memory = Memory::allocate(1 << 20).value();
  for (bool const rehearsal : {true, false}) {
    CAPTURE(rehearsal);
    auto context = Context<float>::for_rehearsal(native_kernels());
    if (!rehearsal) context.arena = Arena(memory.bytes());
    {
      std::vector<ArenaMap<float>> maps;
      for (Index i = 0; i < Arena::most_blocks; ++i) maps.emplace_back(context.arena, Shape{2, 2, 16});
      CHECK(context.status().ok());
      for (Index i = 0; i < 3; ++i) maps.emplace_back(context.arena, Shape{2, 2, 16});
      CHECK(context.arena.live_blocks() == Arena::most_blocks);
      maps[3].settle();
      maps.back().settle();
      CHECK(maps.back().view().data() == nullptr);
      CHECK((maps.front().view().data() == nullptr) == rehearsal);
    }
    CHECK(context.arena.live_blocks() == 0);
    CHECK(error_of(context, ErrorCode::memory) == "the network holds more than 64 maps at a time");
    bool computed = false;
    context.once([&] { computed = true; });
    CHECK(!computed);
  }
}

TEST_CASE_FIXTURE(Fixture, "a map that a layer does not take") {
  auto const memory = Memory::allocate(1 << 20).value();
  Context<float> context(native_kernels());
  context.arena = Arena(memory.bytes());
  layer.forward(context, View<float const>(input.view().data(), {20, 10, 16}), output.view());
  CHECK(untouched());
  CHECK(error_of(context, ErrorCode::invalid_argument) ==
        "convolution: the output has 20x20 pixels of 16 channels, expected 10x20 of 16");
  forward(context);  // not before the caller has seen it
  CHECK(untouched());
  context.refusal = {};
  forward(context);
  CHECK(!untouched());
}

TEST_CASE_FIXTURE(Fixture, "layers without weights, and an output that is the input") {
  auto const memory = Memory::allocate(1 << 20).value();
  Context<float> context(native_kernels());
  auto const refused = [&](auto forward) {
    auto const done = context.compute_in(memory.bytes(), forward);
    CHECK(untouched());
    return std::string(done.ok() ? "" : done.error().message());
  };
  std::string const no_weights = "it has no weights: is it visited by the network's layers()?";
  CHECK(refused([&] { Conv2d<float>(16, 16, 3).forward(context.at("b"), input.view(), output.view()); }) ==
        "b: convolution: " + no_weights);
  auto doubled = Tensor<float>::create({40, 40, 16}).value();
  CHECK(refused([&] { ConvTranspose2d<float>(16, 16).forward(context, input.view(), doubled.view()); }) ==
        "convolution: " + no_weights);
  View<float> const map = output.view();
  CHECK(refused([&] { LayerNorm<float>(16).forward(context, input.view(), map); }) == "layer norm: " + no_weights);
  CHECK(refused([&] { InstanceNorm2d<float>(16, {.affine = true}).forward(context, input.view(), map); }) ==
        "instance norm: " + no_weights);
  CHECK(refused([&] { add(context, input.view(), Constant<float>(16), map); }) == "sum: " + no_weights);
  CHECK(refused([&] { addcmul(context, Constant<float>(16), input.view(), map, map); }) ==
        "product + sum: the added map has 1x1 pixels of 16 channels, expected 20x20 of 16");
  CHECK(refused([&] { layer.forward(context, input.view(), map, {.scale = Constant<float>(16)}); }) ==
        "convolution: " + no_weights);
  ChannelPRelu<float> const slopes(16);
  CHECK(refused([&] { layer.forward(context, input.view(), output.view(), {.activation = slopes}); }) ==
        "prelu: " + no_weights);
  CHECK(refused([&] { slopes.forward(context, output.view()); }) == "prelu: " + no_weights);
  CHECK(refused([&] { layer.forward(context, output.view(), output.view()); }) ==
        "convolution: the output is the input, expected another map");
}
