// Defects of sensors go; what is drawn, and what optics draw, stays.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <mirnet/image/hot_pixels.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "io/pictures.hpp"
#include "support/scenes.hpp"

using namespace mirnet;
using test::landscape;
using test::Scene;

namespace {

/// Defects of 0.2 to 1 upwards, or downwards where that leaves the scale, of one colour or of all. Returns the samples.
std::vector<std::size_t> add_defects(Scene& scene, float density, bool all) {
  test::Random random(3);
  std::vector<std::size_t> defects;
  for (std::size_t pixel = 0; pixel < scene.levels.size(); pixel += static_cast<std::size_t>(scene.channels)) {
    if (random.uniform(0, 1) >= density) continue;
    float const amplitude = random.uniform(0.2f, 1.0f);
    auto const one = random.between(0, scene.channels - 1);
    for (Index c = 0; c < scene.channels; ++c) {
      auto const i = pixel + static_cast<std::size_t>(c);
      float const level = scene.levels[i];
      if ((!all && c != one) || (level + amplitude > 1 && level - amplitude < 0)) continue;
      scene.levels[i] += level + amplitude <= 1 ? amplitude : -amplitude;
      defects.push_back(i);
    }
  }
  return defects;
}

/// Shading alone.
Scene sky(Index width, Index height, Index channels = 3) {
  Scene scene(width, height, channels);
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x) {
      for (Index c = 0; c < channels; ++c)
        scene.at(y, x, c) = 0.2f + 0.4f * static_cast<float>(x + y + 20 * c) / static_cast<float>(width + height + 60);
    }
  }
  return scene;
}

void check_unchanged(Scene const& scene, std::string const& what) {
  CAPTURE(what);
  auto image = scene.image(SampleType::u8);
  CHECK(remove_hot_pixels(image).value() == 0);
  CHECK(pictures::equal(image, scene.image(SampleType::u8)));
}

}  // namespace

TEST_CASE("nine of ten defects go, and most in noise") {
  for (float const noise : {0.0f, 10.0f}) {
    for (float const density : {3e-4f, 3e-3f}) {
      for (bool const all : {false, true}) {
        for (auto const type : {SampleType::u8, SampleType::u16, SampleType::f32}) {
          CAPTURE(noise);
          CAPTURE(density);
          CAPTURE(all);
          CAPTURE(static_cast<int>(type));
          auto const original = test::with_noise(sky(300, 200), noise);
          auto scene = original;
          auto const defects = add_defects(scene, density, all);
          auto image = scene.image(type);
          CHECK(remove_hot_pixels(image).value() > 0);
          std::size_t gone = 0;
          image.visit([&](auto samples) {
            for (auto const i : defects) gone += std::fabs(to_unit(samples[i]) - original.levels[i]) < 0.15f;
          });
          // Against noise, the weakest do not show; and what is in all colours may be texture.
          double const share = noise == 0 ? 0.9 : all ? 0.65 : 0.8;
          CHECK(static_cast<double>(gone) >= share * static_cast<double>(defects.size()));
        }
      }
    }
  }
}

TEST_CASE("a defect becomes the median of its neighbours, and is counted once") {
  auto const scene = sky(40, 30);
  auto defect = scene;
  for (Index c = 0; c < 3; ++c) defect.at(10, 20, c) = 1.0f;
  defect.at(0, 5, 1) = 1.0f;    // at the border
  defect.at(29, 39, 2) = 0.0f;  // in a corner, and dead
  auto image = defect.image(SampleType::f32);
  CHECK(remove_hot_pixels(image).value() == 3);
  auto const samples = image.samples<float>();
  for (std::size_t i = 0; i < samples.size(); ++i)
    REQUIRE(samples[i] == doctest::Approx(scene.levels[i]).epsilon(0.05));
}

TEST_CASE("a dark frame's hot pixels on even black go") {
  Scene black(60, 60, 3);
  black.at(10, 12, 0) = 0.8f;
  for (Index c = 0; c < 3; ++c) black.at(40, 31, c) = 0.6f;
  auto image = black.image(SampleType::u8);
  CHECK(remove_hot_pixels(image).value() == 2);
  for (auto const sample : image.samples<std::uint8_t>()) REQUIRE(sample == 0);
}

TEST_CASE("what is drawn stays") {
  Scene lines(80, 80, 3), chessboard(64, 64, 1), dither(128, 128, 1), text(80, 80, 3), stars(80, 80, 3);
  test::Random random(9);
  auto const put = [](Scene& scene, Index y, Index x, float level) {
    for (Index c = 0; c < scene.channels; ++c) scene.at(y, x, c) = level;
  };
  for (Index y = 0; y < 80; ++y) {
    for (Index x = 0; x < 80; ++x) {
      put(lines, y, x, x == 20 || y == 33 || x == y ? 1.0f : 0.1f);
      // Letters with a stop behind them.
      put(text, y, x,
          (y % 16 > 3 && y % 16 < 12 && x % 12 == 3) || (y % 16 == 4 && x % 12 > 3 && x % 12 < 8) ||
                  (y % 16 == 11 && x % 24 == 9)
              ? 0.0f
              : 1.0f);
    }
  }
  for (Index y = 0; y < 64; ++y) {
    for (Index x = 0; x < 64; ++x) put(chessboard, y, x, (x + y) % 2 ? 1.0f : 0.0f);
  }
  for (Index y = 0; y < 128; ++y) {
    for (Index x = 0; x < 128; ++x) put(dither, y, x, x % 4 == 1 && y % 4 == 2 ? 1.0f : 0.0f);
  }
  for (int star = 0; star < 40; ++star) {
    float const centre_x = random.uniform(2, 78), centre_y = random.uniform(2, 78), light = random.uniform(0.3f, 1.0f);
    for (Index y = 0; y < 80; ++y) {
      for (Index x = 0; x < 80; ++x) {
        float const dx = static_cast<float>(x) - centre_x, dy = static_cast<float>(y) - centre_y;
        for (Index c = 0; c < 3; ++c) stars.at(y, x, c) += light * std::exp(-(dx * dx + dy * dy) / (2 * 0.7f * 0.7f));
      }
    }
  }
  check_unchanged(lines, "lines");
  check_unchanged(chessboard, "chessboard");
  check_unchanged(dither, "dither");
  check_unchanged(text, "text");
  check_unchanged(stars, "stars");
  check_unchanged(landscape(200, 150), "landscape");
}

TEST_CASE("alpha, hidden pixels and pictures of a few pixels stay") {
  Scene scene(20, 20, 4);
  for (Index y = 0; y < 20; ++y) {
    for (Index x = 0; x < 20; ++x) {
      for (Index c = 0; c < 3; ++c) scene.at(y, x, c) = 0.2f;
      scene.at(y, x, 3) = x < 10 ? 1.0f : 0.0f;
    }
  }
  scene.at(10, 15, 1) = 1.0f;
  check_unchanged(scene, "hidden");
  for (Index size = 1; size < 5; ++size) {
    Scene tiny(size, 9, 3);
    tiny.at(4, 0, 1) = 1.0f;
    check_unchanged(tiny, "tiny");
  }
}

TEST_CASE("the number of threads changes nothing about defects") {
  auto scene = test::with_noise(landscape(200, 150), 6);
  add_defects(scene, 2e-3f, false);
  auto one = scene.image(SampleType::u8), three = scene.image(SampleType::u8);
  ThreadPool pool(3);
  CHECK(remove_hot_pixels(one).value() == remove_hot_pixels(three, pool).value());
  CHECK(pictures::equal(one, three));
}
