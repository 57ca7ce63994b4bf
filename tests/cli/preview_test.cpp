// Crops of a photograph: those that the user names, and those that are chosen.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "preview.hpp"
#include "samples.hpp"

namespace {

using cli::Rectangle;
using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;

Index overlap(Rectangle const& a, Rectangle const& b) {
  Index const width = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x);
  Index const height = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
}

/// Gray of 8 bits: upper left dark, upper right of medium brightness, both with noise; lower left white; in the lower
/// right stripes, which are detail. Where `colour`, red and green stripes of the same brightness are at the bottom.
Image quarters(Index width, Index height, bool colour) {
  auto image = Image::create(width, height, colour ? 3 : 1, SampleType::u8).value();
  auto const grain = samples::noise(width, height, 1, SampleType::u8);
  auto const values = image.samples<std::uint8_t>();
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x) {
      auto const noise =
          static_cast<int>(std::to_integer<int>(grain.bytes()[static_cast<std::size_t>(y * width + x)]) % 9);
      bool const left = x < width / 2, top = y < height / 2;
      int const value = top ? (left ? 20 : 130) + noise : left ? 255 : x / 16 % 2 == 0 ? 60 : 190;
      for (Index c = 0; c < image.channels(); ++c) {
        values[static_cast<std::size_t>((y * width + x) * image.channels() + c)] = static_cast<std::uint8_t>(value);
      }
      if (colour && y >= height - height / 6 && left) {
        std::uint8_t const red_or_green[][3] = {{200, 60, 80}, {60, 131, 80}};
        std::memcpy(&values[static_cast<std::size_t>((y * width + x) * 3)], red_or_green[x / 32 % 2], 3);
      }
    }
  }
  return image;
}

/// Whether the middle of the part is in this quarter.
bool in_quarter(Rectangle const& part, Image const& image, bool left, bool top) {
  return (part.x + part.width / 2 < image.width() / 2) == left &&
         (part.y + part.height / 2 < image.height() / 2) == top;
}

}  // namespace

TEST_CASE("rectangles are read") {
  CHECK(cli::parse_rectangle("1200,340,512,256").value() == Rectangle{1200, 340, 512, 256});
  CHECK(cli::parse_rectangle("0,0,1,1").value() == Rectangle{0, 0, 1, 1});
  CHECK(cli::text({1200, 340, 512, 256}) == "at 1200, 340, 512 x 256");
}

TEST_CASE("what is no rectangle is told") {
  struct Wrong {
    std::string text, why;
  };
  for (auto const& wrong :
       {Wrong{"", "has 1 part"}, Wrong{"1,2,3", "has 3 parts"}, Wrong{"1,2,3,4,5", "has 5 parts"},
        Wrong{"1,2,3,", "has \"\" in the place of a number"}, Wrong{"1,,3,4", "has \"\" in the place of a number"},
        Wrong{"-1,2,3,4", "has \"-1\" in the place of a number"}, Wrong{"1,2,3,4px", "has \"4px\" in the place of"},
        Wrong{"1, 2,3,4", "has \" 2\" in the place of a number"}, Wrong{"1,2,1.5,4", "has \"1.5\" in the place of"},
        Wrong{"1,2,99999999999999999999,4", "has a number that is too large"}, Wrong{"1,2,3,0", "has no pixels"}}) {
    auto const& text = wrong.text;
    CAPTURE(text);
    auto const part = cli::parse_rectangle(text);
    REQUIRE(!part.ok());
    CHECK(part.error().code() == mirnet::ErrorCode::invalid_argument);
    std::string const message = part.error().message();
    CHECK(message.starts_with("\"" + text + "\" " + wrong.why));
    CHECK(message.ends_with("; expected X,Y,WIDTH,HEIGHT in pixels"));
  }
}

TEST_CASE("crops hold the samples of the part, of every type") {
  for (auto const type : {SampleType::u8, SampleType::u16, SampleType::f32}) {
    for (Index channels = 1; channels <= 4; ++channels) {
      auto const image = samples::noise(23, 17, channels, type);
      Rectangle const part{5, 3, 11, 14};
      auto const crop = cli::crop(image, part).value();
      CHECK((crop.width() == 11 && crop.height() == 14 && crop.channels() == channels && crop.type() == type));
      auto const pixel = static_cast<std::size_t>(channels * mirnet::sample_bytes(type));
      for (Index y = 0; y < 14; ++y) {
        for (Index x = 0; x < 11; ++x) {
          REQUIRE(std::memcmp(crop.bytes().data() + static_cast<std::size_t>(y * 11 + x) * pixel,
                              image.bytes().data() + static_cast<std::size_t>((y + 3) * 23 + x + 5) * pixel,
                              pixel) == 0);
        }
      }
    }
  }
}

TEST_CASE("a crop that reaches beyond the picture is refused") {
  auto const image = samples::noise(40, 30, 3, SampleType::u8);
  CHECK(cli::check_inside({0, 0, 40, 30}, image, "a.png").ok());
  CHECK(cli::check_inside({39, 29, 1, 1}, image, "a.png").ok());
  constexpr Index most = std::numeric_limits<Index>::max();
  for (Rectangle const& part : {Rectangle{1, 0, 40, 30}, Rectangle{0, 1, 40, 30}, Rectangle{40, 0, 1, 1},
                                Rectangle{most, 0, most, 1}, Rectangle{0, most, 1, most}, Rectangle{0, 0, 0, 1}}) {
    CHECK(!cli::check_inside(part, image, "a.png").ok());
    CHECK(!cli::crop(image, part).ok());
  }
  auto const error = cli::check_inside({30, 20, 16, 8}, image, "a.png").error();
  CHECK(error.code() == mirnet::ErrorCode::invalid_argument);
  CHECK(error.message() ==
        std::string("a.png: the crop of 16 x 8 pixels at 30, 20 reaches beyond the picture's 40 x 30"));
}

TEST_CASE("crops show detail, darkness, flat parts and colours") {
  auto const image = quarters(1200, 1000, true);
  auto const crops = cli::telling_crops(image, 4, 128);
  REQUIRE(crops.size() == 4);
  CHECK(in_quarter(crops[0], image, false, false));
  CHECK(in_quarter(crops[1], image, true, true));
  CHECK(in_quarter(crops[2], image, false, true));
  CHECK(in_quarter(crops[3], image, true, false));
  CHECK(crops[3].y + crops[3].height > 1000 - 1000 / 6);
  for (std::size_t i = 0; i < crops.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK(overlap(crops[i], crops[j]) == 0);
  }
  CHECK(cli::telling_crops(image, 4, 128) == crops);
  // The samples' type and alpha change nothing about them.
  CHECK(cli::telling_crops(mirnet::convert_samples(image, SampleType::u16).value(), 4, 128) == crops);
  CHECK(cli::telling_crops(mirnet::convert_samples(image, SampleType::f32).value(), 4, 128) == crops);
}

TEST_CASE("gray pictures have telling crops, too") {
  auto const image = quarters(1200, 1000, false);
  auto const crops = cli::telling_crops(image, 3, 128);
  REQUIRE(crops.size() == 3);
  CHECK(in_quarter(crops[0], image, false, false));
  CHECK(in_quarter(crops[1], image, true, true));
  CHECK(in_quarter(crops[2], image, false, true));
}

TEST_CASE("crops fit pictures of every size") {
  struct Size {
    Index width, height, side;
  };
  for (auto const& size : {Size{1, 1, 512}, Size{300, 200, 512}, Size{512, 512, 512}, Size{513, 512, 512},
                           Size{768, 512, 512}, Size{1024, 1024, 512}, Size{3000, 7, 512}, Size{7, 3000, 512},
                           Size{200, 100, 1}, Size{2, 1, 1}, Size{50, 40, 3}, Size{1100, 90, 64}}) {
    for (int const count : {1, 4, 9}) {
      auto const [width, height, side] = size;
      CAPTURE(size.width);
      CAPTURE(size.height);
      CAPTURE(size.side);
      auto const image = samples::noise(width, height, 3, SampleType::u8);
      auto const crops = cli::telling_crops(image, count, side);
      CHECK(!crops.empty());
      CHECK(crops.size() <= static_cast<std::size_t>(count));
      for (std::size_t i = 0; i < crops.size(); ++i) {
        CHECK(cli::check_inside(crops[i], image, "the picture").ok());
        CHECK(crops[i].width == std::min(width, side));
        CHECK(crops[i].height == std::min(height, side));
        for (std::size_t j = 0; j < i; ++j) CHECK(overlap(crops[i], crops[j]) <= crops[i].width * crops[i].height / 4);
      }
    }
  }
  CHECK(cli::telling_crops(samples::noise(300, 200, 1, SampleType::u16)) == std::vector<Rectangle>{{0, 0, 300, 200}});
  CHECK(cli::telling_crops(samples::noise(2000, 1500, 3, SampleType::u8), 4, 512).size() == 4);
}

TEST_CASE("floats that are no numbers do no harm") {
  auto image = samples::noise(600, 400, 3, SampleType::f32);  // any bits, so NaN and infinities among them
  CHECK(cli::telling_crops(image, 4, 64).size() == 4);
  for (auto& sample : image.samples<float>()) sample = std::numeric_limits<float>::quiet_NaN();
  CHECK(cli::telling_crops(image, 4, 64).size() == 4);
}
