// What a model and a run need is known beforehand, exactly, and where the kernels are known at compile time, then.
#include <doctest/doctest.h>

#include <string>

#include <mirnet/kernels/reference.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>

#include "support/kernel_tables.hpp"
#include "support/networks.hpp"

namespace {

using mirnet::Algorithm;
using Config = mirnet::MirnetConfig;
using mirnet::Context;
using mirnet::Index;
using mirnet::Mirnet;
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

template <class T>
void compare(Config const& config, mirnet::KernelTable<T> const& kernels) {
  auto const model = test::make_model<T>(config);
  struct Size {
    Index height, width;
  };
  for (auto const& size : {Size{1, 1}, Size{4, 4}, Size{13, 70}, Size{64, 64}, Size{100, 37}, Size{33, 600},
                           Size{480, 640}, Size{9, 5000}}) {
    Index const height = size.height, width = size.width;
    for (Index const workers : {1, 2, 7}) {
      for (auto const algorithm : {Algorithm::automatic, Algorithm::direct}) {
        INFO(std::string(kernels.isa) << ", " << width << "x" << height << ", " << workers << " workers, features "
                                      << config.features << ", streams " << config.streams << ", unshuffle "
                                      << config.unshuffle);
        Context<T> context(kernels, {.workers = workers});
        context.algorithm = algorithm;
        auto const plan = model.plan(context, height, width).value();
        auto const needed = Model<Mirnet<T>>::bytes_needed(config, height, width, kernels, workers, algorithm).value();
        CHECK(needed.run == plan.bytes);
        CHECK(needed.model == model.bytes());
        CHECK(needed.model_in_place == mirnet::Mirnet<T>::structure_bytes(config));
      }
    }
  }
}

}  // namespace

TEST_CASE("the bytes needed are those of the model and of the plan") {
  Config const configs[] = {small,
                            {.features = 64, .groups = 1, .blocks = 1},
                            {.features = 16, .groups = 1, .blocks = 3, .streams = 1, .columns = 1, .channels = 1},
                            {.features = 24, .groups = 3, .blocks = 1, .streams = 2, .columns = 3},
                            {.features = 9, .groups = 1, .blocks = 2, .streams = 4, .columns = 4, .channels = 16},
                            unshuffled,
                            test::unshuffled[1],
                            test::unshuffled[3]};
  for (auto const& config : configs) {
    for (auto const* kernels : test::kernel_tables()) compare<float>(config, *kernels);
    for (auto const& set : test::bfloat16_tables()) compare<mirnet::bfloat16>(config, *set.halves);
  }
}

TEST_CASE("what is known at compile time is what is known at run time") {
  auto const& kernels = mirnet::reference_kernels<float>();
  auto const small_model = test::make_model<float>(small);
  CHECK(small_needs.model == small_model.bytes());
  CHECK(small_needs.run == small_model.plan(Context<float>(kernels), 64, 64).value().bytes);
  auto const unshuffled_model = test::make_model<float>(unshuffled);
  CHECK(unshuffled_needs.model == unshuffled_model.bytes());
  CHECK(unshuffled_needs.run == unshuffled_model.plan(Context<float>(kernels), 37, 91).value().bytes);
  auto const wide_model = test::make_model<float>(wide);
  CHECK(wide_needs.model == wide_model.bytes());
  CHECK(wide_needs.run == wide_model.plan(Context<float>(kernels, {.workers = 4}), 37, 91).value().bytes);
}

TEST_CASE("sizes that cannot be are refused with a sentence") {
  auto const& kernels = mirnet::reference_kernels<float>();
  auto const code = [&](Config const& config, Index height, Index width) {
    auto const needed = Model<Mirnet<float>>::bytes_needed(config, height, width, kernels);
    return needed.ok() ? mirnet::ErrorCode::internal : needed.error().code();
  };
  CHECK(code({.features = 7}, 8, 8) == mirnet::ErrorCode::model);
  CHECK(code(small, 0, 8) == mirnet::ErrorCode::invalid_argument);
  CHECK(code(small, 8, -1) == mirnet::ErrorCode::invalid_argument);
  CHECK(code(small, std::numeric_limits<Index>::max(), 8) == mirnet::ErrorCode::memory);
}

TEST_CASE("padding takes hardly more memory than an image that needs none") {
  for (auto const& config : {Config{}, Config{.features = 32, .groups = 1, .streams = 2, .unshuffle = 2}, small}) {
    for (auto const* kernels : test::kernel_tables()) {
      auto const bytes = [&](Index height, Index width) {
        return Model<Mirnet<float>>::bytes_needed(config, height, width, *kernels, 2).value().run;
      };
      INFO(kernels->isa << ", features " << config.features);
      CHECK(static_cast<double>(bytes(297, 401)) <= 1.02 * static_cast<double>(bytes(300, 404)));
    }
  }
}
