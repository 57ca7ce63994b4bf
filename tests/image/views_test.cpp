// Two views of a scene, for networks of six channels.
#include <doctest/doctest.h>

#include <string_view>

#include <mirnet/image/restore.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "io/pictures.hpp"
#include "support/kernel_tables.hpp"
#include "support/slow.hpp"
#include "support/weight_writer.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::equal;

namespace {

Model<MirnetV2<float>> model_for(Index channels) {
  MirnetV2Config const config{.features = 16, .blocks = 1, .channels = channels, .adds_image = channels == 3};
  return Model<MirnetV2<float>>::load(test::make_weight_file(config)).value();
}

}  // namespace

TEST_CASE("a network gets the left view in its first three channels and the right one in the others") {
  auto const model = model_for(6);
  Context<float> context(*test::kernel_tables().front());
  auto const left = draw(70, 66, 3, SampleType::f32), right = draw(70, 66, 1, SampleType::u8, pictures::noisy_pattern);
  auto const tiling = plan_whole(model, context, left).value();
  auto const restored = restore(model, {left, &right}, context, tiling).value();

  auto input = Tensor<float>::create({66, 70, 6}).value(), output = Tensor<float>::create({66, 70, 3}).value();
  for (Index y = 0; y < 66; ++y) {
    for (Index x = 0; x < 70; ++x) {
      auto const pixel = static_cast<std::size_t>(y * 70 + x);
      for (Index c = 0; c < 3; ++c) {
        input.view()(y, x, c) = left.samples<float>()[3 * pixel + static_cast<std::size_t>(c)];
        input.view()(y, x, 3 + c) = to_unit(right.samples<std::uint8_t>()[pixel]);
      }
    }
  }
  auto const plan = model.plan(context, 66, 70).value();
  auto const memory = Memory::allocate(plan.bytes).value();
  REQUIRE(model.run(context, plan, memory.bytes(), input.view(), output.view()).ok());
  CHECK(equal(restored, from_map(output.view(), left).value()));
}

TEST_CASE("two views go through tiles, one after the other or at once, and are blended with the left one") {
  auto const model = model_for(6);
  ThreadPool pool(2);
  Context<float> several(*test::kernel_tables().front(), pool), one(*test::kernel_tables().front());
  auto const left = draw(600, test::slow ? 20 : 50, 4, SampleType::u16), right = draw(600, left.height(), 3);
  auto const tiling = plan_tiles(model, several, left, shortest_tile).value();
  CHECK((tiling.at_once == 2 && tiling.x.count() == 3));
  auto const restored = restore(model, {left, &right}, several, tiling).value();
  CHECK(equal(restored,
              restore(model, {left, &right}, one, plan_tiles(model, one, left, shortest_tile).value()).value()));
  CHECK(!equal(restored, restore(model, {left, &left}, several, tiling).value()));
  CHECK(equal(restore(model, {left, &right}, several, tiling, {0.0f, 0.0f}).value(), left));
}

TEST_CASE("the number of views is the network's, and their sizes are the same") {
  auto const of_two = model_for(6), of_one = model_for(3);
  Context<float> context(*test::kernel_tables().front());
  auto const left = draw(40, 30, 3), other = draw(40, 31, 3);
  auto const fails = [&](auto const& model, Views views, ErrorCode code, char const* sentence) {
    auto const failed = restore(model, views, context);
    REQUIRE(!failed);
    CHECK(failed.error().code() == code);
    CHECK(std::string_view(failed.error().message()) == sentence);
  };
  fails(of_two, left, ErrorCode::model, "the network takes 2 views of a scene, and was given 1");
  fails(of_one, {left, &left}, ErrorCode::model, "the network takes 1 view of a scene, and was given 2");
  fails(of_two, {left, &other}, ErrorCode::invalid_argument, "the left view has 40 x 30 pixels, the right one 40 x 31");
}
