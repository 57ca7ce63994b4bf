// Sharpening: steeper edges, and nothing else.
#include <doctest/doctest.h>

#include <cmath>

#include <mirnet/image/sharpen.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "io/pictures.hpp"
#include "support/scenes.hpp"

using namespace mirnet;
using test::Scene;

namespace {

/// From dark to bright within four pixels.
Scene edge(Index channels = 3) {
  Scene scene(40, 24, channels);
  for (Index y = 0; y < 24; ++y) {
    for (Index x = 0; x < 40; ++x) {
      float const level = std::clamp(0.3f + 0.1f * static_cast<float>(x - 18), 0.3f, 0.7f);
      for (Index c = 0; c < channels; ++c) scene.at(y, x, c) = level * (c == 1 ? 0.9f : 1.0f);
    }
  }
  return scene;
}

double deviation(Image const& image) {
  auto const samples = image.samples<float>();
  double sum = 0, squares = 0;
  for (float const sample : samples) {
    sum += static_cast<double>(sample);
    squares += static_cast<double>(sample) * static_cast<double>(sample);
  }
  auto const count = static_cast<double>(samples.size());
  return std::sqrt(squares / count - sum / count * (sum / count));
}

}  // namespace

TEST_CASE("an amount of 0 changes no bit") {
  for (auto const type : {SampleType::u8, SampleType::u16, SampleType::f32}) {
    auto const scene = test::with_noise(test::landscape(50, 40), 20);
    auto image = scene.image(type);
    CHECK(sharpen(image, {.amount = 0}).ok());
    CHECK(pictures::equal(image, scene.image(type)));
  }
}

TEST_CASE("flat pictures of any size stay") {
  for (Index size = 1; size < 7; ++size) {
    for (Index const channels : {Index{1}, Index{2}, Index{3}, Index{4}}) {
      Scene flat(size, 3, channels);
      std::fill(flat.levels.begin(), flat.levels.end(), 0.4f);
      auto image = flat.image(SampleType::u16);
      CHECK(sharpen(image, {.amount = 1, .noise = 0}).ok());
      CHECK(pictures::equal(image, flat.image(SampleType::u16)));
    }
  }
}

TEST_CASE("an edge gets steeper, and no brighter or darker beside it than the bound") {
  for (auto const type : {SampleType::u8, SampleType::u16, SampleType::f32}) {
    auto image = edge().image(type);
    auto const before = edge().image(type);
    CHECK(sharpen(image, {.amount = 1}).ok());
    double steepest = 0, steepest_before = 0, mean = 0, mean_before = 0;
    float lowest = 1, highest = 0;
    image.visit([&](auto samples) {
      using T = typename decltype(samples)::value_type;
      auto const old = before.samples<T>();
      for (std::size_t i = 0; i < samples.size(); ++i) {
        float const value = to_unit(samples[i]);
        mean += static_cast<double>(value);
        mean_before += static_cast<double>(to_unit(old[i]));
        if (i % 3 != 0) continue;
        lowest = (std::min)(lowest, value);
        highest = (std::max)(highest, value);
        if (i % (40 * 3) == 0) continue;
        steepest = (std::max)(steepest, static_cast<double>(value - to_unit(samples[i - 3])));
        steepest_before = (std::max)(steepest_before, static_cast<double>(to_unit(old[i]) - to_unit(old[i - 3])));
      }
    });
    CHECK(steepest > 1.02 * steepest_before);
    CHECK(mean == doctest::Approx(mean_before).epsilon(0.002));
    CHECK(lowest > 0.3f - 0.025f);
    CHECK(highest < 0.7f + 0.025f);
    CHECK(highest > 0.7f);
  }
}

TEST_CASE("all colours get the same difference") {
  auto image = edge().image(SampleType::f32);
  CHECK(sharpen(image, {.amount = 1}).ok());
  auto const samples = image.samples<float>();
  auto const before = edge().levels;
  for (std::size_t i = 0; i < samples.size(); i += 3) {
    REQUIRE(samples[i + 1] - before[i + 1] == doctest::Approx(samples[i] - before[i]).epsilon(1e-4));
    REQUIRE(samples[i + 2] - before[i + 2] == doctest::Approx(samples[i] - before[i]).epsilon(1e-4));
  }
}

TEST_CASE("noise below the threshold is not raised") {
  Scene flat(100, 80, 1);
  std::fill(flat.levels.begin(), flat.levels.end(), 0.5f);
  auto const noisy = test::with_noise(flat, 1.5f);
  auto careful = noisy.image(SampleType::f32), careless = noisy.image(SampleType::f32);
  double const before = deviation(careful);
  CHECK(sharpen(careful, {.amount = 1, .noise = 0.02f}).ok());
  CHECK(sharpen(careless, {.amount = 1, .noise = 0}).ok());
  CHECK(deviation(careful) < 1.12 * before);
  CHECK(deviation(careless) > 1.3 * before);
}

TEST_CASE("alpha and hidden pixels stay, and what is hidden is not seen") {
  auto const draw = [](float hidden) {
    Scene scene(40, 24, 4);
    auto visible = edge();
    for (Index y = 0; y < 24; ++y) {
      for (Index x = 0; x < 40; ++x) {
        for (Index c = 0; c < 3; ++c) scene.at(y, x, c) = x < 21 ? visible.at(y, x, c) : hidden;
        scene.at(y, x, 3) = x < 21 ? 0.8f : 0.0f;
      }
    }
    return scene;
  };
  auto black = draw(0).image(SampleType::u8), white = draw(1).image(SampleType::u8);
  auto const white_before = draw(1).image(SampleType::u8);
  CHECK(sharpen(black, {.amount = 1}).ok());
  CHECK(sharpen(white, {.amount = 1}).ok());
  auto const of_black = black.samples<std::uint8_t>(), of_white = white.samples<std::uint8_t>();
  auto const before = white_before.samples<std::uint8_t>();
  bool changed = false;
  for (std::size_t i = 0; i < of_black.size(); ++i) {
    if (i / 4 % 40 < 21) REQUIRE(of_black[i] == of_white[i]);
    if (i / 4 % 40 >= 21 || i % 4 == 3) REQUIRE(of_white[i] == before[i]);
    changed |= of_white[i] != before[i];
  }
  CHECK(changed);
}

TEST_CASE("amounts that make no sense are refused, and threads change nothing") {
  auto image = edge().image(SampleType::u8), other = edge().image(SampleType::u8);
  for (float const amount : {-0.1f, 1.1f, std::nanf("")}) {
    auto const done = sharpen(image, {.amount = amount});
    REQUIRE(!done);
    CHECK(done.error().code() == ErrorCode::invalid_argument);
  }
  CHECK(!sharpen(image, {.noise = -1}).ok());
  CHECK(pictures::equal(image, other));
  ThreadPool pool(3);
  CHECK(sharpen(image).ok());
  CHECK(sharpen(other, {}, pool).ok());
  CHECK(pictures::equal(image, other));
}
