// Pictures that are encoded row by row: the files are those of the whole picture, whatever the bands, and errors come
// out at the end if not before.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include <mirnet/io/image_file.hpp>

#include "codecs/formats.hpp"
#include "encoding_thread.hpp"
#include "picture.hpp"
#include "samples.hpp"

namespace {

using cli::Format;
using mirnet::ErrorCode;
using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;
using samples::noise;

cli::Metadata some_metadata() {
  cli::Metadata metadata;
  metadata.exif.assign(100, std::byte{7});
  return metadata;
}

/// The rows from `first` on, as an image.
Image band_of(Image const& image, Index first, Index rows) {
  auto band = Image::create(image.width(), rows, image.channels(), image.type()).value();
  auto const row = image.bytes().size() / static_cast<std::size_t>(image.height());
  std::memcpy(band.bytes().data(), image.bytes().data() + static_cast<std::size_t>(first) * row, band.bytes().size());
  return band;
}

bool same(mirnet::ByteBuffer const& a, mirnet::ByteBuffer const& b) { return std::ranges::equal(a.bytes(), b.bytes()); }

struct Kind {
  Format format;
  Index channels;
  SampleType type;
};
constexpr Kind kinds[] = {
    {Format::png, 3, SampleType::u8},   {Format::png, 4, SampleType::u8},  {Format::png, 1, SampleType::u16},
    {Format::png, 2, SampleType::u16},  {Format::jpeg, 3, SampleType::u8}, {Format::jpeg, 1, SampleType::u8},
    {Format::tiff, 3, SampleType::u16}, {Format::tiff, 4, SampleType::u8}, {Format::webp, 3, SampleType::u8}};

}  // namespace

TEST_CASE("bands of any height give the file of the whole picture") {
  for (auto const& kind : kinds) {
    Index const channels = kind.channels;
    Format const format = kind.format;
    if (cli::traits(format).encode == nullptr) continue;
    auto const image = noise(203, 131, channels, kind.type);
    auto const layout = cli::ImageLayout::of(image);
    for (int const quality : {80, 95}) {
      CAPTURE(channels);
      CAPTURE(quality);
      auto const metadata = some_metadata();
      cli::EncodeOptions const options{.quality = quality};
      auto const whole = cli::encode(image, format, options, metadata).value();
      auto const decoded = std::move(cli::traits(format).decode(whole.bytes(), "the file", {}).value().image);
      CHECK((decoded.width() == 203 && decoded.height() == 131 && decoded.channels() == channels));
      bool const exact = cli::traits(format).loss == cli::Loss::none;
      if (exact) CHECK(std::ranges::equal(decoded.bytes(), image.bytes()));
      for (Index const rows : {Index{1}, Index{7}, Index{64}, Index{131}}) {
        CAPTURE(rows);
        cli::EncodingThread thread(cli::traits(format).encode(layout, options, metadata).value());
        auto const alone = cli::traits(format).encode(layout, options, metadata).value();
        for (Index first = 0; first < image.height(); first += rows) {
          auto band = band_of(image, first, std::min(rows, image.height() - first));
          CHECK(alone->append(band.bytes()).ok());
          CHECK(thread.append(std::move(band)).ok());
        }
        CHECK(same(alone->finish().value(), whole));
        CHECK(same(thread.finish().value(), whole));
      }
    }
  }
}

namespace {

class Failing final : public cli::RowEncoder {
 public:
  explicit Failing(int good, int* calls) : good_(good), calls_(calls) {}
  mirnet::Result<void> append(std::span<std::byte const>) override {
    if ((*calls_)++ < good_) return {};
    return mirnet::Error(ErrorCode::memory, "no more");
  }
  mirnet::Result<mirnet::ByteBuffer> finish() override { return mirnet::ByteBuffer(); }

 private:
  int good_;
  int* calls_;
};

}  // namespace

TEST_CASE("an encoder that fails is asked no more, and its error comes out") {
  for (int good = 0; good < 4; ++good) {
    CAPTURE(good);
    int calls = 0;
    {
      cli::EncodingThread thread(std::make_unique<Failing>(good, &calls));
      int taken = 0;
      while (taken < 10 && thread.append(noise(4, 2, 3, SampleType::u8)).ok()) ++taken;
      CHECK(taken < 10);
      auto const file = thread.finish();
      REQUIRE(!file);
      CHECK(file.error().code() == ErrorCode::memory);
    }
    CHECK(calls == good + 1);
  }
}

TEST_CASE("an encoding that is given up ends") {
  int calls = 0;
  {
    cli::EncodingThread thread(std::make_unique<Failing>(100, &calls));
    CHECK(thread.append(noise(4, 2, 3, SampleType::u8)).ok());
    CHECK(thread.append(noise(4, 2, 3, SampleType::u8)).ok());
  }
  CHECK(calls <= 2);
  // With a picture half done in the libraries.
  for (auto const format : {Format::png, Format::jpeg, Format::tiff, Format::webp}) {
    if (cli::traits(format).encode == nullptr) continue;
    auto encoder = cli::traits(format).encode({64, 64, 3, SampleType::u8}, {.quality = 90}, some_metadata());
    REQUIRE(encoder);
    cli::EncodingThread thread(*std::move(encoder));
    CHECK(thread.append(noise(64, 20, 3, SampleType::u8)).ok());
  }
}

TEST_CASE("a size that a format does not have is refused at the start") {
  auto const refused = cli::encode_jpeg({70'000, 1, 3, SampleType::u8}, {.quality = 90}, cli::Metadata());
  REQUIRE(!refused);
  CHECK(refused.error().code() == ErrorCode::output);
}
