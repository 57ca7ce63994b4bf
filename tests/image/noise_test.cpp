// The noise that is measured is the noise that was added, in pictures that are not flat.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <mirnet/image/noise.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "support/scenes.hpp"

using namespace mirnet;
using test::landscape;
using test::with_noise;

namespace {

/// What independent noise of deviation 1 in red, green and blue is of brightness and of colour.
constexpr double of_brightness = 0.669, of_colour = 0.640;

NoiseEstimate measure(test::Scene const& scene, SampleType type = SampleType::u8) {
  auto estimate = measure_noise(scene.image(type)).value();
  for (float* const value : {&estimate.brightness, &estimate.colour, &estimate.dark, &estimate.bright}) *value *= 255;
  return estimate;
}

void check_near(double found, double expected, double tolerance) {
  CHECK(found > (1 - tolerance) * expected);
  CHECK(found < (1 + tolerance) * expected);
}

bool same(NoiseEstimate const& a, NoiseEstimate const& b) {
  return a.brightness == b.brightness && a.colour == b.colour && a.dark == b.dark && a.bright == b.bright &&
         a.correlation == b.correlation;
}

}  // namespace

TEST_CASE("white noise is measured within a tenth beside texture") {
  for (float const deviation : {3.0f, 5.0f, 10.0f, 15.0f, 25.0f, 50.0f}) {
    CAPTURE(deviation);
    auto const found = measure(with_noise(landscape(384, 256), deviation));
    check_near(static_cast<double>(found.brightness), of_brightness * static_cast<double>(deviation), 0.1);
    check_near(static_cast<double>(found.colour), of_colour * static_cast<double>(deviation), 0.1);
    CHECK(std::fabs(found.correlation) < 0.1f);
  }
}

TEST_CASE("noise of neighbouring pixels that goes together is measured as strong as it is") {
  for (float const blur : {0.5f, 0.7f, 1.0f}) {
    for (float const deviation : {5.0f, 15.0f}) {
      CAPTURE(blur);
      CAPTURE(deviation);
      auto const found = measure(with_noise(landscape(384, 256), deviation, blur));
      check_near(static_cast<double>(found.brightness), of_brightness * static_cast<double>(deviation), 0.2);
      // What a Gaussian makes of white noise: exp(-1 / (4 blur^2)), less where its window is not much wider than
      // pixels.
      float const correlation = std::exp(-0.25f / (blur * blur));
      CHECK(found.correlation > correlation - 0.2f);
      CHECK(found.correlation < correlation + 0.1f);
    }
  }
}

TEST_CASE("noise that depends on brightness differs between the dark and the bright half") {
  auto scene = landscape(384, 256);
  auto const noise = test::noise(384, 256, 3);
  std::vector<float> levels;
  for (std::size_t i = 1; i < scene.levels.size(); i += 3) levels.push_back(scene.levels[i]);
  std::sort(levels.begin(), levels.end());
  float const median = levels[levels.size() / 2];
  double squares[2] = {};
  for (std::size_t i = 0; i < scene.levels.size(); ++i) {
    bool const bright = scene.levels[i / 3 * 3 + 1] > median;
    float const deviation = 30 * scene.levels[i] * scene.levels[i];
    squares[bright] += static_cast<double>(deviation * deviation);
    scene.levels[i] += deviation / 255 * noise.levels[i];
  }
  auto const found = measure(scene);
  auto const half = static_cast<double>(scene.levels.size()) / 2;
  check_near(static_cast<double>(found.dark), of_brightness * std::sqrt(squares[0] / half), 0.35);
  check_near(static_cast<double>(found.bright), of_brightness * std::sqrt(squares[1] / half), 0.35);
  CHECK(found.bright > 1.5f * found.dark);
}

TEST_CASE("noise of the colours alone is none of the brightness") {
  auto scene = landscape(384, 256);
  auto noise = test::noise(384, 256, 3);
  for (std::size_t i = 0; i < scene.levels.size(); i += 3) {
    float* const pixel = noise.levels.data() + i;
    float const y = 0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2];
    for (std::size_t c = 0; c < 3; ++c) scene.levels[i + c] += 10.0f / 255 * (pixel[c] - y);
  }
  auto const found = measure(scene);
  check_near(static_cast<double>(found.colour), of_colour * 10, 0.1);
  CHECK(found.brightness < 2.0f);
}

TEST_CASE("types of samples, gray and transparency measure the same") {
  auto const scene = with_noise(landscape(256, 192), 8);
  auto const bytes = measure(scene);
  for (auto const type : {SampleType::u16, SampleType::f32}) {
    auto const found = measure(scene, type);
    check_near(static_cast<double>(found.brightness), static_cast<double>(bytes.brightness), 0.03);
    check_near(static_cast<double>(found.colour), static_cast<double>(bytes.colour), 0.03);
  }
  auto const gray = measure(with_noise(landscape(256, 192, 1), 8));
  check_near(static_cast<double>(gray.brightness), 8, 0.1);
  CHECK(gray.colour == 0.0f);
}

TEST_CASE("fully transparent pixels do not count") {
  auto const draw = [](float hidden) {
    test::Scene scene(256, 128, 4);
    auto const visible = with_noise(landscape(256, 128), 6);
    auto const noise = test::noise(256, 128, 3);
    for (Index y = 0; y < 128; ++y) {
      for (Index x = 0; x < 256; ++x) {
        for (Index c = 0; c < 3; ++c) {
          auto const i = static_cast<std::size_t>((y * 256 + x) * 3 + c);
          scene.at(y, x, c) = x < 180 ? visible.levels[i] : 0.5f + hidden * noise.levels[i];
        }
        scene.at(y, x, 3) = x < 180 ? 1.0f : 0.0f;
      }
    }
    return measure(scene);
  };
  CHECK(same(draw(0.0f), draw(0.2f)));
  CHECK(draw(0.2f).brightness > 3.0f);
}

TEST_CASE("what is drawn has no noise") {
  test::Scene flat(64, 64, 3), graphic(128, 128, 3), dither(128, 128, 1), shading(256, 128, 3);
  std::fill(flat.levels.begin(), flat.levels.end(), 0.5f);
  for (Index y = 0; y < 128; ++y) {
    for (Index x = 0; x < 128; ++x) {
      bool const inside = (x - 64) * (x - 64) + (y - 50) * (y - 50) < 900, line = x == 20 || y == 100;
      for (Index c = 0; c < 3; ++c)
        graphic.at(y, x, c) = inside ? 0.7f : line ? 0.1f : 0.9f - 0.1f * static_cast<float>(c);
      constexpr int thresholds[] = {0, 2, 3, 1};
      dither.at(y, x, 0) =
          static_cast<float>(x) > 32.0f * static_cast<float>(thresholds[y % 2 * 2 + x % 2]) ? 0.8f : 0.2f;
    }
    for (Index x = 0; x < 256; ++x) {
      for (Index c = 0; c < 3; ++c)
        shading.at(y, x, c) = 0.2f + 0.002f * static_cast<float>(x) + 0.001f * static_cast<float>(y);
    }
  }
  CHECK(same(measure(flat), {}));
  CHECK(same(measure(graphic), {}));
  CHECK(same(measure(dither), {}));
  CHECK(measure(shading).brightness < 0.6f);
  CHECK(measure(landscape(384, 256)).brightness < 1.5f);
}

TEST_CASE("pictures of a few pixels have an estimate, too") {
  for (Index width = 1; width <= 16; ++width) {
    for (Index height = 1; height <= 16; ++height) {
      CAPTURE(width);
      CAPTURE(height);
      auto const found = measure(with_noise(landscape(width, height), 10));
      CHECK(std::isfinite(found.brightness));
      CHECK((found.brightness > 0.0f) == (width >= 8 && height >= 8));
      CHECK(found.brightness < 100.0f);
      CHECK(std::fabs(found.correlation) <= 1.0f);
    }
  }
}

TEST_CASE("the number of threads changes no bit") {
  auto const image = with_noise(landscape(300, 200), 7).image(SampleType::u8);
  ThreadPool pool(3);
  CHECK(same(measure_noise(image).value(), measure_noise(image, pool).value()));
}
