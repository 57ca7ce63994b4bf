// What a model and a run need is known beforehand, exactly, and where the kernels are known at compile time, then.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include <mirnet/kernels/reference.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>

#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"
#include "support/schedulers.hpp"

namespace {

using mirnet::Algorithm;
using Config = mirnet::MirnetConfig;
using mirnet::Context;
using mirnet::Index;
using mirnet::Mirnet;
using mirnet::MirnetV2;
using mirnet::Model;

constexpr Config small{.features = 8, .groups = 2, .blocks = 2};

// At compile time, of two sizes. What the numbers should be is tested below.
constexpr auto small_needs =
    Model<Mirnet<float>>::bytes_needed(small, 64, 64, mirnet::reference_kernels<float>()).value();
static_assert(small_needs.run > 5 * 64 * 64 * 64 && small_needs.run % 64 == 0);
static_assert(small_needs.model == Model<Mirnet<float>>::bytes_needed(small).value());
static_assert(small_needs.model_in_place < small_needs.model);

// On cells of pixels.
constexpr Config unshuffled = test::unshuffled[0];
constexpr auto unshuffled_needs =
    Model<Mirnet<float>>::bytes_needed(unshuffled, 37, 91, mirnet::reference_kernels<float>()).value();
static_assert(unshuffled_needs.run <
              Model<Mirnet<float>>::bytes_needed(test::small, 37, 91, mirnet::reference_kernels<float>()).value().run);

constexpr Config wide{.features = 64, .groups = 1, .blocks = 1, .streams = 2};
constexpr auto wide_needs =
    Model<Mirnet<float>>::bytes_needed(wide, 37, 91, mirnet::reference_kernels<float>(), 4).value();

constexpr auto second_needs =
    Model<MirnetV2<float>>::bytes_needed(test::two_views, 37, 91, mirnet::reference_kernels<float>(), 2).value();
static_assert(second_needs.model == Model<MirnetV2<float>>::bytes_needed(test::two_views).value());
static_assert(second_needs.model_in_place < second_needs.model / 10);
// The published network, with as much as compilers are made to evaluate.
static_assert(Model<MirnetV2<float>>::bytes_needed({}, 480, 640, mirnet::reference_kernels<float>(), 2).value().run <
              6 * 480 * 640 * 80 * 4);

template <class T, class NetConfig>
void compare(NetConfig const& config, mirnet::KernelTable<T> const& kernels) {
  using Net = typename test::NetworkOf<T, NetConfig>::Type;
  auto const model = test::make_model<T>(config);
  struct Size {
    Index height, width;
  };
  for (auto const& size : {Size{1, 1}, Size{4, 4}, Size{13, 70}, Size{64, 64}, Size{100, 37}, Size{33, 600},
                           Size{480, 640}, Size{9, 5000}}) {
    Index const height = size.height, width = size.width;
    for (Index const workers : {1, 2, 7}) {
      for (auto const algorithm : {Algorithm::automatic, Algorithm::direct}) {
        INFO(std::string(kernels.isa) << ", " << width << "x" << height << ", " << workers << " workers, "
                                      << test::describe(config));
        Context<T> context(kernels, {.workers = workers});
        context.algorithm = algorithm;
        auto const plan = model.plan(context, height, width).value();
        auto const needed = Model<Net>::bytes_needed(config, height, width, kernels, workers, algorithm).value();
        CHECK(needed.run == plan.bytes);
        CHECK(needed.model == model.bytes());
        CHECK(needed.model_in_place == Net::structure_bytes(config));
      }
    }
  }
}

}  // namespace

TEST_CASE("the bytes needed are those of the model and of the plan") {
  test::each_config(
      [](auto const& config) {
        for (auto const* kernels : test::kernel_tables()) compare<float>(config, *kernels);
        for (auto const& set : test::bfloat16_tables()) compare<mirnet::bfloat16>(config, *set.halves);
      },
      small, Config{.features = 64, .groups = 1, .blocks = 1},
      Config{.features = 16, .groups = 1, .blocks = 3, .streams = 1, .columns = 1, .channels = 1},
      Config{.features = 24, .groups = 3, .blocks = 1, .streams = 2, .columns = 3},
      Config{.features = 9, .groups = 1, .blocks = 2, .streams = 4, .columns = 4, .channels = 16}, unshuffled,
      test::unshuffled[1], test::unshuffled[3], test::version_2, test::two_views,
      mirnet::MirnetV2Config{.features = 48, .blocks = 3, .adds_image = false});
}

TEST_CASE("a run in arrays of the sizes that are known at compile time") {
  using Net = MirnetV2<float>;
  constexpr mirnet::Shape shape{21, 18, test::version_2.channels};
  static constexpr auto needs =
      Model<Net>::bytes_needed(test::version_2, shape.height, shape.width, mirnet::reference_kernels<float>(), 3)
          .value();
  alignas(64) static std::byte structure[needs.model_in_place], memory[needs.run];
  alignas(64) static std::byte weights[needs.model];
  auto const file = test::make_weight_file(test::version_2);
  mirnet::MemorySource source(file);
  auto const model = Model<Net>::load(source, weights).value();
  auto const image = test::make_image<float>(shape);
  auto output = test::make_image<float>(shape);
  Context<float> context(mirnet::reference_kernels<float>(), test::backwards(3));
  auto const plan = model.plan(context, shape.height, shape.width).value();
  REQUIRE(model.run(context, plan, memory, image.view(), output.view()).ok());
  Context<float> serial(mirnet::reference_kernels<float>());
  CHECK(test::same_bits(output.view(), test::run(model, serial, image.view()).view()));
  if (std::endian::native != std::endian::little) return;  // nothing is used in place there
  auto const packed = test::make_weight_file(test::version_2, 1, test::Storage::f32_packed);
  auto const placed = mirnet::Memory::allocate(static_cast<Index>(packed.size())).value();
  std::ranges::copy(packed, placed.bytes().begin());
  auto const in_place = Model<Net>::load_in_place(placed.bytes().first(packed.size()), structure).value();
  auto other = test::make_image<float>(shape);
  REQUIRE(in_place.run(context, plan, memory, image.view(), other.view()).ok());
  CHECK(test::same_bits(output.view(), std::as_const(other).view()));
}

TEST_CASE("what is known at compile time is what is known at run time") {
  auto const& kernels = mirnet::reference_kernels<float>();
  auto const small_model = test::make_model<float>(small);
  CHECK(small_needs.model == small_model.bytes());
  CHECK(small_needs.run == small_model.plan(Context<float>(kernels), 64, 64).value().bytes);
  auto const unshuffled_model = test::make_model<float>(unshuffled);
  CHECK(unshuffled_needs.model == unshuffled_model.bytes());
  CHECK(unshuffled_needs.run == unshuffled_model.plan(Context<float>(kernels), 37, 91).value().bytes);
  auto const second_model = test::make_model<float>(test::two_views);
  CHECK(second_needs.model == second_model.bytes());
  CHECK(second_needs.run == second_model.plan(Context<float>(kernels, {.workers = 2}), 37, 91).value().bytes);
  auto const wide_model = test::make_model<float>(wide);
  CHECK(wide_needs.model == wide_model.bytes());
  CHECK(wide_needs.run == wide_model.plan(Context<float>(kernels, {.workers = 4}), 37, 91).value().bytes);
}

TEST_CASE("sizes that cannot be are refused with a sentence") {
  auto const& kernels = mirnet::reference_kernels<float>();
  auto const code = [&]<class NetConfig>(NetConfig const& config, Index height, Index width) {
    auto const needed = test::ModelOf<float, NetConfig>::bytes_needed(config, height, width, kernels);
    return needed.ok() ? mirnet::ErrorCode::internal : needed.error().code();
  };
  CHECK(code(Config{.features = 7}, 8, 8) == mirnet::ErrorCode::model);
  CHECK(code(mirnet::MirnetV2Config{.features = 24}, 8, 8) == mirnet::ErrorCode::model);
  test::each_config(
      [&](auto const& config) {
        CHECK(code(config, 0, 8) == mirnet::ErrorCode::invalid_argument);
        CHECK(code(config, 8, -1) == mirnet::ErrorCode::invalid_argument);
        CHECK(code(config, std::numeric_limits<Index>::max(), 8) == mirnet::ErrorCode::memory);
      },
      small, test::version_2);
}

TEST_CASE("padding takes hardly more memory than an image that needs none") {
  test::each_config(
      []<class NetConfig>(NetConfig const& config) {
        for (auto const* kernels : test::kernel_tables()) {
          auto const bytes = [&](Index height, Index width) {
            return test::ModelOf<float, NetConfig>::bytes_needed(config, height, width, *kernels, 2).value().run;
          };
          INFO(kernels->isa << ", " << test::describe(config));
          CHECK(static_cast<double>(bytes(297, 401)) <= 1.02 * static_cast<double>(bytes(300, 404)));
        }
      },
      Config{}, Config{.features = 32, .groups = 1, .streams = 2, .unshuffle = 2}, small, mirnet::MirnetV2Config{},
      test::two_views);
}
