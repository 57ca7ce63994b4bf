// Fully transparent pixels: the network does not see their colours, and they stay as they are.
#include <doctest/doctest.h>

#include <cstring>

#include <mirnet/image/restore.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>

#include "io/pictures.hpp"
#include "support/kernel_tables.hpp"
#include "support/networks.hpp"

using namespace mirnet;
using pictures::draw;
using pictures::equal;

namespace {

/// A noisy image, transparent from column `edge` on, with samples of this value there.
Image cut_out(Index edge, std::uint8_t hidden, Index channels) {
  auto image = draw(64, 48, channels, SampleType::u8, pictures::noisy_pattern);
  auto const samples = image.samples<std::uint8_t>();
  for (Index i = 0; i < image.pixels(); ++i) {
    auto* const pixel = samples.data() + i * channels;
    bool const visible = i % image.width() < edge;
    pixel[channels - 1] = visible ? 255 : 0;
    for (Index c = 0; c + 1 < channels && !visible; ++c) pixel[c] = c == 1 ? 0 : hidden;
  }
  return image;
}

}  // namespace

TEST_CASE("hidden pixels take the colour of the visible ones around them, weighted by alpha") {
  auto image = Image::create(8, 4, 4, SampleType::u8).value();
  auto const samples = image.samples<std::uint8_t>();
  for (Index y = 0; y < 4; ++y) {
    for (Index x = 0; x < 8; ++x) {
      std::uint8_t const left[] = {200, 100, 40, 255}, weak[] = {0, 0, 0, 51}, hidden[] = {9, 250, 9, 0};
      auto const* const from = x < 3 ? (y == 0 && x == 2 ? weak : left) : hidden;
      std::memcpy(samples.data() + (y * 8 + x) * 4, from, 4);
    }
  }
  auto const filled = with_hidden_filled(image).value();
  auto const pixel = [&](Index y, Index x) {
    return filled.samples<std::uint8_t>().subspan(static_cast<std::size_t>((y * 8 + x) * 4), 4);
  };
  // Beside the edge: the visible pixels of the same 2 x 2, one of which counts a fifth.
  CHECK(pixel(0, 3)[0] == 167);
  CHECK(pixel(2, 3)[0] == 200);
  // Far from it, the average of all that is near enough.
  for (Index y = 0; y < 4; ++y) {
    for (Index x = 4; x < 8; ++x) {
      CHECK(pixel(y, x)[0] > 190);
      CHECK(pixel(y, x)[2] > 35);
      CHECK(pixel(y, x)[3] == 0);
    }
  }
  for (Index y = 0; y < 4; ++y) CHECK(std::memcmp(pixel(y, 0).data(), samples.data() + y * 32, 12) == 0);
}

TEST_CASE("an image that is all transparent is filled with black") {
  for (auto const type : {SampleType::u8, SampleType::u16, SampleType::f32}) {
    auto image = Image::create(5, 3, 2, type).value();
    std::memset(image.bytes().data(), 0, image.bytes().size());
    CHECK(equal(with_hidden_filled(image).value(), image));
  }
}

TEST_CASE("what is under transparency changes nothing that is seen, and stays") {
  auto const model = test::make_model<float>({.features = 8, .groups = 1, .blocks = 1});
  Context<float> context(*test::kernel_tables().front());
  for (Index const channels : {Index{2}, Index{4}}) {
    CAPTURE(channels);
    auto const black = cut_out(32, 0, channels), magenta = cut_out(32, 255, channels);
    auto const of_black = restore(model, black, context).value(), of_magenta = restore(model, magenta, context).value();
    bool changed = false;
    for (Index i = 0; i < black.pixels(); ++i) {
      auto const at = static_cast<std::size_t>(i * channels), size = static_cast<std::size_t>(channels);
      auto const pixel = [&](Image const& image) { return image.bytes().subspan(at, size); };
      if (i % 64 < 32) {
        REQUIRE(std::memcmp(pixel(of_black).data(), pixel(of_magenta).data(), size) == 0);
        changed |= std::memcmp(pixel(of_black).data(), pixel(black).data(), size) != 0;
      } else {
        REQUIRE(std::memcmp(pixel(of_magenta).data(), pixel(magenta).data(), size) == 0);
      }
    }
    CHECK(changed);
    auto const tiling = plan_whole(model, context, black).value();
    CHECK(tiling.bytes > plan_whole(model, context, draw(64, 48, channels - 1)).value().bytes +
                             static_cast<Index>(black.bytes().size()));
  }
}
