// A network of all layers: what it needs is known at compile time, its runs are the same on all kernels and threads,
// and each layer has its name in the weight file and in the profile.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <mirnet/kernels/reference.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "support/every_layer.hpp"
#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"
#include "support/schedulers.hpp"

using namespace mirnet;
using test::EveryLayer;

namespace {

static_assert(Network<EveryLayer<float>> && Network<EveryLayer<bfloat16>> && Network<EveryLayer<double>>);

#if !defined(MIRNET_SANITIZED)  // with sanitizers, such constant expressions take minutes
constexpr auto needs = Model<EveryLayer<float>>::bytes_needed({}, 20, 25, reference_kernels<float>(), 3).value();
static_assert(needs.run > 3 * 24 * 30 * 32 * 4 && needs.run % 64 == 0);
static_assert(needs.model == Model<EveryLayer<float>>::bytes_needed({}).value());
alignas(64) std::byte model_bytes[needs.model];
alignas(64) std::byte run_bytes[needs.run];
#endif

/// A weight file of the network.
test::Bytes make_file() {
  return test::make_weight_file([](auto&& visit) { EveryLayer<float>::schema(NoHyperParameters{}, visit); }, 4,
                                [](auto&& half) { half(36, 0), half(40, 3), half(42, 3); }, 11, test::Storage::f32);
}

/// The output for an image, in exactly the memory that is needed, which holds NaN before.
template <class T>
Tensor<Accumulator<T>> output_of(Model<EveryLayer<T>> const& model, KernelTable<T> const& kernels, Shape shape,
                                 ParallelFor threads = {}) {
  Context<T> context(kernels, threads);
  auto const needed =
      Model<EveryLayer<T>>::bytes_needed({}, shape.height, shape.width, kernels, threads.workers).value();
  CHECK(needed.run == model.plan(context, shape.height, shape.width).value().bytes);
  CHECK(needed.model == model.bytes());
  return test::run(model, context, test::make_image<Accumulator<T>>(shape).view());
}

/// The nodes that a trace is told, each once.
struct Told {
  std::string nodes;
  Index count = 0;

  Trace trace() {
    return {[](void* self, Node const& node, Index worker) noexcept {
              auto& told = *static_cast<Told*>(self);
              if (worker != Trace::whole || node.number < told.count) return;  // another piece of it
              told.nodes += std::string(node.name().view()) + ": " + node.operation + '\n';
              told.count = node.number + 1;
            },
            [](void*, Node const&, Index) noexcept {}, this};
  }
};

}  // namespace

TEST_CASE("a network of all layers: on all kernels, of any size, by any number of threads") {
  auto const file = make_file();
  auto const exact = Model<EveryLayer<double>>::load(file).value();
  auto const floats = Model<EveryLayer<float>>::load(file).value();
  auto const halves = Model<EveryLayer<bfloat16>>::load(file).value();
  ThreadPool pool(3);
  for (Shape const shape : {Shape{1, 1, 3}, Shape{6, 12, 3}, Shape{20, 25, 3}, Shape{33, 47, 3}}) {
    CAPTURE(shape.width);
    auto const expected = output_of(exact, test::plain_kernels<double>(), shape);
    auto const image = test::make_image<double>(shape);
    double const unit = test::scale<double const, double const>(image.view(), expected.view());
    auto const difference = [&](auto const& output) {
      using Pixel = std::remove_reference_t<decltype(*output.view().data())>;
      return test::largest_difference<Pixel const, double const>(output.view(), expected.view()) / unit;
    };
    CHECK(difference(output_of(exact, test::eigen_kernels<double>(), shape)) < 1e-12);
    for (auto const* kernels : test::kernel_tables()) {
      INFO(std::string(kernels->isa));
      auto const output = output_of(floats, *kernels, shape);
      CHECK(difference(output) < 1e-5);
      for (ParallelFor const& threads : {ParallelFor(pool), test::backwards(2)}) {
        CHECK(test::same_bits(output.view(), output_of(floats, *kernels, shape, threads).view()));
      }
    }
    for (auto const& set : test::bfloat16_tables()) {
      INFO(std::string(set.halves->isa));
      CHECK(difference(output_of(halves, *set.halves, shape)) < 5e-2);
    }
  }
}

#if !defined(MIRNET_SANITIZED)
TEST_CASE("a network of all layers in arrays of the sizes that are known at compile time") {
  auto const file = make_file();
  MemorySource source(file);
  auto const model = Model<EveryLayer<float>>::load(source, model_bytes).value();
  Context<float> context(reference_kernels<float>(), test::backwards(3));
  auto const plan = model.plan(context, 20, 25).value();
  CHECK(plan.bytes == needs.run);
  auto const image = test::make_image<float>({20, 25, 3});
  auto output = test::make_image<float>({20, 25, 3});
  std::memset(run_bytes, 0xFF, sizeof run_bytes);
  CHECK(model.run(context, plan, run_bytes, image.view(), output.view()).ok());
  CHECK(
      test::same_bits(std::as_const(output).view(), output_of(model, reference_kernels<float>(), {20, 25, 3}).view()));
}
#endif

TEST_CASE("tensors have their layers' names, constants their own") {
  std::vector<std::string> names;
  EveryLayer<float>::schema(NoHyperParameters{}, [&](auto& layer, Name const& name) {
    each_parameter(layer, name, [&](auto&, Name const& full_name) { names.emplace_back(full_name.view()); });
  });
  CHECK(names == std::vector<std::string>{"enter.weight", "enter.bias", "norm.weight", "norm.bias", "mlp.0.weight",
                                          "mlp.0.bias", "mlp.1.weight", "depthwise.weight", "depthwise.bias",
                                          "instance.weight", "instance.bias", "beta", "twice.weight", "twice.bias",
                                          "thrice.weight", "join.weight", "leave.weight"});
  // In a file that has a beta of other dimensions.
  auto file = make_file();
  std::size_t const entry = 128 + 64 * 11;
  CHECK(test::get<std::uint32_t>(file, entry + 12) == 24);
  test::put(file, entry + 12, std::uint32_t{25});
  test::repair_checksum(file);
  CHECK(std::string(Model<EveryLayer<float>>::load(file).error().message()) ==
        "the second dimension of beta is 25, expected 24");
}

TEST_CASE("each layer has its line in the profile") {
  auto const model = Model<EveryLayer<float>>::load(make_file()).value();
  for (auto const* kernels : test::kernel_tables()) {
    INFO(std::string(kernels->isa));
    Told rehearsed, ran;
    Context<float> context(*kernels);
    context.trace = rehearsed.trace();
    auto const plan = model.plan(context, 12, 18).value();
    context.trace = ran.trace();
    auto const image = test::make_image<float>({12, 18, 3});
    auto output = test::make_image<float>({12, 18, 3});
    auto const memory = Memory::allocate(plan.bytes).value();
    REQUIRE(model.run(context, plan, memory.bytes(), image.view(), output.view()).ok());
    CHECK(rehearsed.nodes == ran.nodes);
    CHECK(context.macs == plan.macs);
    CHECK(ran.nodes ==
          "enter: conv 3x3\n"
          "norm: layer norm\n"
          "mlp.0: conv 1x1\n"
          "mlp.1: conv 1x1\n"
          "depthwise: conv 3x3\n"
          "instance: instance norm\n"
          "plain_norm: layer norm\n"
          "mean: mean\n"
          "max: max\n"
          "max: max\n"
          "channels: sum\n"
          "gate: hard sigmoid\n"
          "gated: product\n"
          "plane: split\n"
          "attention: max\n"
          "attention: max\n"
          "attention: softmax\n"
          "centred: difference\n"
          "weights: softmax\n"
          "skip: product + sum\n"
          "max_pool: max pool\n"
          "average_pool: average pool\n"
          "pooled: sum\n"
          "plain_instance: instance norm\n"
          "third: average pool\n"
          "smaller: resize\n"
          "join: conv 1x1\n"
          "join: sum\n"
          "wide: resize\n"
          "thrice: transposed conv\n"
          "concat: concat\n"
          "twice: transposed 4x4\n"
          "same: resize\n"
          "sum: sum\n"
          "leave: conv 3x3\n");
  }
}
