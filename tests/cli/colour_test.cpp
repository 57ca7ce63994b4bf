// Colours on their way to the network and back.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "colour.hpp"

namespace {

using cli::ColourConversion;
using cli::Metadata;
using mirnet::Index;

Metadata with_cicp(std::uint8_t primaries, std::uint8_t transfer) {
  Metadata metadata;
  metadata.colour.cicp = {primaries, transfer, 0, 1};
  return metadata;
}

Metadata with_gamma(std::uint32_t gamma) {
  Metadata metadata;
  metadata.colour.gamma = gamma;
  return metadata;
}

std::array<float, 3> seen(ColourConversion const& conversion, std::array<float, 3> colour) {
  conversion.to_network(colour.data(), 3 / conversion.colours());
  return colour;
}

bool near(std::array<float, 3> const& a, std::array<float, 3> const& b, float most) {
  return std::equal(a.begin(), a.end(), b.begin(), [=](float x, float y) { return std::fabs(x - y) <= most; });
}

/// The largest change of any of 4096 colours that go there and back.
float change(ColourConversion const& conversion) {
  std::vector<float> samples;
  std::uint32_t state = 1;
  for (int i = 0; i < 3 * 4096; ++i) {
    state = state * 1664525u + 1013904223u;
    samples.push_back(static_cast<float>(state >> 16) / 65535);
  }
  auto const before = samples;
  auto const count = static_cast<Index>(samples.size()) / conversion.colours();
  conversion.to_network(samples.data(), count);
  conversion.from_network(samples.data(), count);
  float largest = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) largest = std::max(largest, std::fabs(samples[i] - before[i]));
  return largest;
}

}  // namespace

#if MIRNET_HAS_LCMS

TEST_CASE("Display P3 becomes sRGB's numbers, beyond 0 and 1, and comes back") {
  auto const p3 = ColourConversion::of(with_cicp(12, 13), 3);
  REQUIRE(bool(p3));
  CHECK(near(seen(*p3, {0.5f, 0.5f, 0.5f}), {0.5f, 0.5f, 0.5f}, 1e-3f));
  // The primaries of P3 in linear sRGB: 1.2249, -0.0421, -0.0196 and so on (from both spaces' chromaticities).
  CHECK(near(seen(*p3, {1, 0, 0}), {1.0931f, -0.5434f, -0.2538f}, 2e-3f));
  CHECK(near(seen(*p3, {0, 1, 0}), {-2.9057f, 1.0183f, -1.0162f}, 6e-3f));
  CHECK(change(*p3) < 0.5f / 65535);
}

TEST_CASE("linear light becomes sRGB's curve") {
  for (auto const& metadata : {with_gamma(100000), with_cicp(1, 8)}) {
    auto const linear = ColourConversion::of(metadata, 3);
    REQUIRE(bool(linear));
    CHECK(near(seen(*linear, {0.214041f, 0.0f, 1.0f}), {0.5f, 0.0f, 1.0f}, 1e-3f));
    CHECK(change(*linear) < 0.5f / 65535);
  }
  auto const gray = ColourConversion::of(with_gamma(100000), 1);
  REQUIRE(bool(gray));
  CHECK(gray->colours() == 1);
  CHECK(near(seen(*gray, {0.214041f, 0.0f, 1.0f}), {0.5f, 0.0f, 1.0f}, 1e-3f));
  CHECK(change(*gray) < 0.5f / 65535);
}

TEST_CASE("the profile that stands for tags converts as they do") {
  for (auto const& metadata : {with_cicp(12, 13), with_cicp(9, 1), with_gamma(100000)}) {
    auto const by_tags = ColourConversion::of(metadata, 3);
    REQUIRE(bool(by_tags));
    Metadata profile;
    profile.icc = cli::profile_of(metadata.colour, 3);
    REQUIRE(!profile.icc.empty());
    auto const by_profile = ColourConversion::of(profile, 3);
    REQUIRE(bool(by_profile));
    for (std::array<float, 3> const colour : {std::array{0.2f, 0.5f, 0.8f}, std::array{0.9f, 0.1f, 0.4f}}) {
      CHECK(near(seen(*by_tags, colour), seen(*by_profile, colour), 2e-3f));
    }
    CHECK(change(*by_profile) < 0.5f / 65535);
  }
}

TEST_CASE("what is sRGB, HDR or unknown is not converted") {
  Metadata srgb;
  srgb.colour.intent = 0;
  auto usual = with_gamma(45455);
  usual.colour.chromaticities = {31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000};
  Metadata damaged;
  damaged.icc.assign(500, std::byte{1});
  for (auto const& metadata :
       {Metadata(), srgb, usual, with_cicp(1, 13), with_cicp(9, 16), with_cicp(9, 18), with_cicp(2, 2), damaged}) {
    CHECK(!ColourConversion::of(metadata, 3));
    CHECK(!ColourConversion::of(metadata, 1));
  }
}

TEST_CASE("a conversion travels as bytes, and only a whole and possible one arrives") {
  auto const p3 = ColourConversion::of(with_cicp(12, 13), 3);
  REQUIRE(bool(p3));
  auto const bytes = p3->to_bytes();
  auto const again = ColourConversion::from_bytes(bytes);
  REQUIRE(bool(again));
  CHECK(seen(*again, {0.1f, 0.7f, 0.3f}) == seen(*p3, {0.1f, 0.7f, 0.3f}));
  CHECK(!ColourConversion::from_bytes({}));
  CHECK(!ColourConversion::from_bytes(std::span(bytes).first(bytes.size() - 1)));
  auto const changed = [&](std::size_t at, float value) {
    auto copy = bytes;
    std::memcpy(copy.data() + at, &value, sizeof value);
    return ColourConversion::from_bytes(copy);
  };
  CHECK(!changed(0, 1.0f));            // so many colours
  CHECK(!changed(4 + 4 * 100, 0.9f));  // a curve that falls
  CHECK(!changed(4 + 4 * 100, std::nanf("")));
}

#endif
