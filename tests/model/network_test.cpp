// A network that the library does not know: Model loads, plans and runs it like MIRNet, from a header of its own.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <type_traits>
#include <utility>

#include <mirnet/layers/cells.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"

using namespace mirnet;

namespace {

/// Twice the size, other channels: transposed(prelu(first(image) + bias)), with no padding and no parts outside of the
/// object.
template <class T>
class Enlarge {
 public:
  using Scalar = T;
  struct Config {
    Index width = 8, channels_in = 4, channels_out = 5;
    friend constexpr bool operator==(Config const&, Config const&) = default;
  };
  using Pixel = Accumulator<T>;

  Enlarge() = default;
  constexpr Enlarge(Config const& config, std::byte*) noexcept
      : first_(config.channels_in, config.width, 3, {.bias = true}), last_(config.width, config.channels_out) {}

  static Result<Config> configure(WeightHeader const& header) noexcept {
    if (auto const checked = header.expect("the architecture", 36, 4711); !checked) return checked.error();
    Config const config{header.field(44), header.field(40), header.field(42)};
    if (auto const checked = check(config); !checked) return checked.error();
    return config;
  }
  static constexpr Result<void> check(Config const& config) noexcept {
    if (config.width < 1 || config.width > 64) {
      return Error(ErrorCode::model, "the width is %d, expected 1 to 64", static_cast<int>(config.width));
    }
    return {};
  }
  static constexpr Result<void> check_size(Config const&, Index height, Index width) noexcept {
    if (height < 1 || width < 1 || height > 1000 || width > 1000) {
      return Error(ErrorCode::memory, "an image has 1 to 1000 pixels in height and width");
    }
    return {};
  }
  static constexpr Index structure_bytes(Config const&) noexcept { return 0; }
  static constexpr Index channels_in(Config const& config) noexcept { return config.channels_in; }
  static constexpr Shape output_shape(Config const& config, Shape image) noexcept {
    return {2 * image.height, 2 * image.width, config.channels_out};
  }
  static constexpr Index tile_step(Config const&) noexcept { return 1; }

  template <class Visitor, class Path = Name>
  static constexpr void schema(Config const& config, Visitor&& visit, Path const& root = {}) {
    Enlarge(config, nullptr).visit_layers(visit, root);
  }
  template <class Body>
  static constexpr void with_outline(Config const& config, Body&& body) {
    Enlarge network(config, nullptr);
    body(network);
  }
  template <class Visitor>
  void each_layer(Config const&, Visitor&& visit) {
    visit_layers(visit, Name());
  }

  constexpr void run(Context<T>& context, Config const& config, View<Pixel const> image,
                     View<Pixel> output) const noexcept {
    ArenaMap<T> const inner(context.arena, first_.output_shape(image.shape()));
    if constexpr (std::is_same_v<T, Pixel>) {
      first_.forward(context.at("first"), image, inner, {.activation = prelu_});
      last_.forward(context.at("last"), inner, output);
    } else {
      ArenaMap<T> const narrow(context.arena, image.shape()),
          result(context.arena, output_shape(config, image.shape()));
      fit<T>(context.at("in"), image, narrow.view(), 1);
      first_.forward(context.at("first"), narrow, inner, {.activation = prelu_});
      last_.forward(context.at("last"), inner, result);
      fit<T>(context.at("out"), View<T const>(result), output, 1);
    }
  }

 private:
  template <class Visitor, class Path>
  constexpr void visit_layers(Visitor&& visit, Path const& root) {
    visit(first_, root / "first");
    visit(prelu_, root / "act");
    visit(last_, root / "last");
  }

  Conv2d<T> first_;
  PRelu<T> prelu_;
  ConvTranspose2d<T> last_;
};

static_assert(Network<Enlarge<float>> && Network<Enlarge<bfloat16>> && Network<Enlarge<double>>);
static_assert(!Network<Conv2d<float>>);

using Config = Enlarge<float>::Config;

test::Bytes weights(Config const& config, test::Storage storage = test::Storage::f32) {
  return test::make_weight_file([&](auto&& visit) { Enlarge<float>::schema(config, visit); }, 3,
                                [&](auto&& half) {
                                  half(36, 4711), half(40, config.channels_in), half(42, config.channels_out);
                                  half(44, config.width);
                                },
                                3, storage);
}

/// The network's output for an image, through a plan and memory that has no byte more.
template <class T>
Tensor<Accumulator<T>> output_of(test::Bytes const& file, KernelTable<T> const& kernels, Shape shape,
                                 ParallelFor threads = {}) {
  auto const model = Model<Enlarge<T>>::load(file).value();
  auto const image = test::make_image<Accumulator<T>>(shape);
  Context<T> context(kernels, threads);
  auto const plan = model.plan(context, shape.height, shape.width).value();
  auto const needed =
      Model<Enlarge<T>>::bytes_needed(model.config(), shape.height, shape.width, kernels, threads.workers).value();
  CHECK(plan.bytes == needed.run);
  CHECK(needed.model == model.bytes());
  auto const memory = Memory::allocate(plan.bytes).value();
  auto output =
      Tensor<Accumulator<T>>::create({2 * shape.height, 2 * shape.width, model.config().channels_out}).value();
  model.run(context, plan, memory.bytes(), image.view(), output.view()).value();
  CHECK(context.macs == plan.macs);
  return output;
}

}  // namespace

TEST_CASE("a network that the library does not know, on all kernels") {
  Config const config{.width = 24, .channels_in = 4, .channels_out = 5};
  auto const file = weights(config);
  ThreadPool pool(2);
  for (Shape const shape : {Shape{9, 14, 4}, Shape{16, 8, 4}}) {
    auto const expected = output_of<double>(file, test::plain_kernels<double>(), shape);
    double largest = 0.0;
    for (Index i = 0; i < expected.view().pixels() * expected.view().pitch(); ++i) {
      largest = std::max(largest, std::abs(expected.view().data()[i]));
    }
    REQUIRE(largest > 0.1);
    auto const difference = [&](auto const& output) {
      double most = 0.0;
      for (Index y = 0; y < expected.view().height(); ++y) {
        for (Index x = 0; x < expected.view().width(); ++x) {
          for (Index c = 0; c < 5; ++c) {
            most = std::max(most, std::abs(static_cast<double>(output.view()(y, x, c)) - expected.view()(y, x, c)));
          }
        }
      }
      return most / largest;
    };
    for (auto const* kernels : test::kernel_tables()) {
      INFO(std::string(kernels->isa));
      CHECK(difference(output_of<float>(file, *kernels, shape)) < 2e-6);
      CHECK(difference(output_of<float>(file, *kernels, shape, pool)) < 2e-6);
    }
    for (auto const& set : test::bfloat16_tables()) {
      INFO(std::string(set.halves->isa));
      CHECK(difference(output_of<bfloat16>(file, *set.halves, shape)) < 2e-2);
    }
  }
}

TEST_CASE("its weights in place") {
  Config const config{.width = 17};
  auto const plain = weights(config), packed = weights(config, test::Storage::f32_packed);
  auto const placed = Memory::allocate(static_cast<Index>(packed.size())).value();
  std::copy(packed.begin(), packed.end(), placed.bytes().begin());
  auto const file = std::span<std::byte const>(placed.bytes()).first(packed.size());
  if (std::endian::native == std::endian::little) {
    auto const model = Model<Enlarge<float>>::load_in_place(file).value();
    CHECK(model.parameters() == Model<Enlarge<float>>::load(plain).value().parameters());
    CHECK(model.config() == config);
  }
  auto const* const kernels = test::kernel_tables().front();
  auto const from_packed = output_of<float>(packed, *kernels, {5, 7, 4});
  auto const from_plain = output_of<float>(plain, *kernels, {5, 7, 4});
  CHECK(test::same_bits(from_packed.view(), from_plain.view()));
}

TEST_CASE("what another network's file is refused with") {
  auto const message = [](auto const& model) { return std::string(model.ok() ? "" : model.error().message()); };
  CHECK(message(Model<Enlarge<float>>::load(test::make_weight_file(test::tiny))) ==
        "the architecture is 1, expected 4711");
  auto const file = weights({});
  CHECK(message(Model<Mirnet<float>>::load(file)) == "the architecture is 4711, expected 1");
  auto wide = file;
  test::put(wide, 44, std::uint16_t{65});
  test::repair_checksum(wide);
  CHECK(message(Model<Enlarge<float>>::load(wide)) == "the width is 65, expected 1 to 64");
  test::put(wide, 44, std::uint16_t{9});
  test::repair_checksum(wide);
  CHECK(message(Model<Enlarge<float>>::load(wide)) == "the first dimension of first.weight is 8, expected 9");
}

TEST_CASE("what its plans and runs refuse") {
  auto const model = Model<Enlarge<float>>::load(weights({})).value();
  Context<float> context(*test::kernel_tables().front());
  CHECK(model.plan(context, 0, 1).error().code() == ErrorCode::memory);
  auto const plan = model.plan(context, 4, 6).value();
  auto const memory = Memory::allocate(plan.bytes).value();
  auto const image = test::make_image<float>({4, 6, 4});
  auto output = test::make_image<float>({4, 6, 4});
  CHECK(std::string(model.run(context, plan, memory.bytes(), image.view(), output.view()).error().message()) ==
        "the output has 6x4 pixels of 4 channels, expected 12x8 of 5 as the plan has");
}
