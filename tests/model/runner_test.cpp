// The runner: layers and models in its own memory and in the caller's.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <string>

#include <mirnet/layers/convolution.hpp>
#include <mirnet/model/runner.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"

using namespace mirnet;

TEST_CASE("a runner gives what a plan and a run give, for one size and one network after the other") {
  auto const model = test::make_model<float>(test::small);
  auto const of_two_views = test::make_model<float>(test::two_views);
  ThreadPool pool(2);
  for (auto const* kernels : test::kernel_tables()) {
    INFO(std::string(kernels->isa));
    Runner<float> runner(*kernels, pool);
    CHECK(runner.bytes() == 0);
    Index most = 0;
    auto const check = [&](auto const& network, Index height, Index width) {
      auto const image = test::make_image<float>({height, width, network.config().channels});
      Context<float> context(*kernels, pool);
      auto const expected = test::run(network, context, image.view());
      auto const output = runner(network, image.view()).value();
      CHECK(test::same_bits(output.view(), expected.view()));
      most = std::max(most, network.plan(context, height, width).value().bytes);
      CHECK(runner.bytes() == most);
    };
    check(model, 16, 20);
    check(of_two_views, 9, 14);
    check(model, 37, 41);
    check(model, 8, 8);
    check(of_two_views, 21, 44);
  }
}

TEST_CASE("layers in a runner, in memory of the caller's") {
  Conv2d<float> first(3, 16, 3), last(16, 3, 3);
  auto const weights = Tensor<float>::create({1, 1, std::max(first.packed_elements(), last.packed_elements())}).value();
  first.bind(weights.view().data());
  last.bind(weights.view().data());
  auto const image = test::make_image<float>({20, 30, 3});
  auto output = Tensor<float>::create({20, 30, 3}).value();
  auto const network = [&](Context<float>& context) {
    ArenaMap<float> const inner(context.arena, {20, 30, 16});
    first.forward(context, image.view(), inner, {.activation = relu});
    last.forward(context, inner, output.view(), {.residual = image.view()});
  };
  auto const& kernels = *test::kernel_tables().front();
  Runner<float> own(kernels);
  REQUIRE(own(network).ok());
  CHECK(test::same_bits(output.view(), image.view()));  // weights of zero
  CHECK(own.bytes() >= 20 * 30 * 16 * 4);

  auto const memory = Memory::allocate(own.bytes()).value();
  Runner<float> given(kernels, {}, memory.bytes());
  CHECK(given(network).ok());
  Runner<float> short_of_it(kernels, {}, memory.bytes().first(memory.bytes().size() - 64));
  auto const refused = short_of_it(network);
  REQUIRE(!refused.ok());
  CHECK(refused.error().code() == ErrorCode::memory);
}

TEST_CASE("what a runner refuses before it computes") {
  Conv2d<float> const layer(3, 16, 3);
  auto const image = test::make_image<float>({20, 30, 3});
  auto output = Tensor<float>::create({20, 31, 16}).value();
  auto const& kernels = *test::kernel_tables().front();
  Runner<float> runner(kernels);
  auto const refused = runner([&](Context<float>& context) { layer.forward(context, image.view(), output.view()); });
  REQUIRE(!refused.ok());
  CHECK(std::string(refused.error().message()) ==
        "convolution: the output has 31x20 pixels of 16 channels, expected 30x20 of 16");

  auto const model = test::make_model<float>(test::tiny);
  CHECK(runner(model, View<float const>(image.view().data(), {20, 30, 2})).error().code() ==
        ErrorCode::invalid_argument);
  std::atomic<bool> const stop = true;
  runner.context().stop = &stop;
  CHECK(runner(model, image.view()).error().code() == ErrorCode::cancelled);
}
