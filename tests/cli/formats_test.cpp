// What goes into a file comes out of it: pixels of every layout, and every kind of metadata that a format holds.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "codecs/formats.hpp"
#include "codecs/tiff_structure.hpp"
#include "samples.hpp"

namespace {

using cli::Bytes;
using cli::Format;
using cli::Metadata;
using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;
using samples::bytes_of;
using samples::noise;

/// A profile as far as anything but a colour management looks at it.
Bytes profile(bool gray) {
  Bytes icc(300, std::byte{3});
  std::ranges::copy(bytes_of(gray ? "GRAY" : "RGB "), icc.begin() + 16);
  return icc;
}

cli::TiffField text_field(std::uint16_t tag, std::string_view text) {
  auto values = bytes_of(text);
  values.push_back(std::byte{0});
  return {tag, cli::tiff_type::ascii, values.size(), values};
}

/// Descriptions that have one directory for each kind.
cli::TiffDirectory some_description() {
  cli::TiffDirectory camera, place, all;
  camera.fields = {text_field(0x9003, "2026:01:02 03:04:05"), {0x927C, cli::tiff_type::undefined, 99, Bytes(99)}};
  camera.inner.push_back({cli::tiff_tag::interoperability_directory, {{text_field(1, "R98")}, {}}});
  place.fields = {text_field(1, "N"), {2, cli::tiff_type::rational, 3, Bytes(24, std::byte{1})}};
  all.fields = {text_field(0x010F, "Maker"), text_field(0x0110, "A model")};
  all.inner = {{cli::tiff_tag::exif_directory, camera}, {cli::tiff_tag::gps_directory, place}};
  return all;
}

void check_same(cli::TiffDirectory const& a, cli::TiffDirectory const& b) {
  REQUIRE(a.fields.size() == b.fields.size());
  for (std::size_t i = 0; i < a.fields.size(); ++i) {
    CHECK(a.fields[i].tag == b.fields[i].tag);
    CHECK(a.fields[i].type == b.fields[i].type);
    CHECK(a.fields[i].count == b.fields[i].count);
    CHECK(a.fields[i].values == b.fields[i].values);
  }
  REQUIRE(a.inner.size() == b.inner.size());
  for (std::size_t i = 0; i < a.inner.size(); ++i) {
    CHECK(a.inner[i].tag == b.inner[i].tag);
    check_same(a.inner[i].directory, b.inner[i].directory);
  }
}

cli::TiffDirectory description_in(Bytes const& exif) {
  auto const structure = cli::TiffStructure::open(exif);
  REQUIRE(structure);
  return cli::description_of(*structure, structure->first_directory());
}

Metadata everything(Index colours, bool little) {
  Metadata metadata;
  metadata.icc = profile(colours == 1);
  metadata.exif = cli::exif_of(some_description(), little);
  metadata.xmp = bytes_of("<x:xmpmeta xmlns:x='adobe:ns:meta/'/>");
  metadata.iptc =
      bytes_of({"\x1c\x02\x05\0\x03"
                "abc",
                8});
  metadata.resolution = {300, 150, true};
  return metadata;
}

cli::Decoded again(Image const& image, Format format, cli::EncodeOptions const& options, Metadata const& metadata) {
  auto const file = cli::encode(image, format, options, metadata).value();
  auto const* const shown = cli::format_of(file.bytes());
  REQUIRE(shown != nullptr);
  CHECK(shown->format == format);
  auto decoded = shown->decode(file.bytes(), "the file", {});
  REQUIRE_MESSAGE(decoded.ok(), decoded.error().message());
  return *std::move(decoded);
}

bool can_write(Format format) { return cli::traits(format).encode != nullptr; }

}  // namespace

TEST_CASE("a directory of a TIFF structure is what it was made of, in both byte orders") {
  for (bool const little : {true, false}) {
    auto const exif = cli::exif_of(some_description(), little);
    CHECK(exif.size() % 2 == 0);
    check_same(description_in(exif), some_description());
    // Cut off anywhere, it may say less, and nothing else.
    for (std::size_t size = 0; size < exif.size(); ++size) {
      Bytes const part(exif.begin(), exif.begin() + static_cast<std::ptrdiff_t>(size));
      auto const structure = cli::TiffStructure::open(part);
      CHECK(structure.has_value() == (size >= 8));
      if (!structure) continue;
      auto const found = cli::description_of(*structure, structure->first_directory());
      for (auto const& field : found.fields) CHECK((field.tag == 0x010F || field.tag == 0x0110));
    }
  }
  CHECK(cli::exif_of({}, true).empty());
}

TEST_CASE("entries that all claim the same bytes do not add up to more than metadata may have") {
  cli::TiffDirectory directory;
  Bytes const values(1 << 20);
  directory.fields.push_back({0x010E, cli::tiff_type::undefined, values.size(), values});
  auto exif = cli::exif_of(directory, true);
  // 300 entries in a second directory, which the only entry of the first leads to.
  cli::TiffDirectory camera;
  for (std::uint16_t i = 0; i < 300; ++i) {
    camera.fields.push_back({static_cast<std::uint16_t>(0x9000 + i), cli::tiff_type::undefined, 1, Bytes(1)});
  }
  auto inner = cli::directory_bytes(camera, {true, false}, exif.size());
  for (std::size_t i = 0; i < 300; ++i) {
    cli::TiffStructure::put(inner, true, 2 + 12 * i + 4, 4, values.size());
    cli::TiffStructure::put(inner, true, 2 + 12 * i + 8, 4, 8);
  }
  cli::TiffStructure::put(exif, true, 10, 2, cli::tiff_tag::exif_directory);
  cli::TiffStructure::put(exif, true, 12, 2, cli::tiff_type::u32);
  cli::TiffStructure::put(exif, true, 14, 4, 1);
  cli::TiffStructure::put(exif, true, 18, 4, exif.size());
  exif.insert(exif.end(), inner.begin(), inner.end());
  auto const found = description_in(exif);
  REQUIRE(found.inner.size() == 1);
  auto const kept = found.inner[0].directory.fields.size();
  CHECK(kept > 10);
  CHECK(kept * values.size() <= cli::most_metadata);
}

TEST_CASE("a TIFF keeps pixels and everything else") {
  if (!can_write(Format::tiff)) return;
  for (auto const type : {SampleType::u8, SampleType::u16}) {
    for (Index channels = 1; channels <= 4; ++channels) {
      for (bool const little : {true, false}) {
        CAPTURE(channels);
        CAPTURE(little);
        auto const image = noise(403, 231, channels, type);  // more than one strip
        auto const metadata = everything(image.colours(), little);
        auto const decoded = again(image, Format::tiff, {}, metadata);
        CHECK(decoded.image.channels() == channels);
        CHECK(decoded.image.type() == type);
        CHECK(std::ranges::equal(decoded.image.bytes(), image.bytes()));
        CHECK(decoded.warnings.empty());
        auto const& kept = decoded.metadata;
        CHECK(kept.icc == metadata.icc);
        CHECK(kept.xmp == metadata.xmp);
        CHECK(kept.iptc == metadata.iptc);
        CHECK(kept.orientation == 1);
        auto const resolution = cli::exif_resolution(kept.exif);
        CHECK((resolution.x == 300 && resolution.y == 150 && resolution.per_inch));
        auto description = description_in(kept.exif);
        std::erase_if(description.fields, [](auto const& field) { return field.tag >= 0x0112 && field.tag <= 0x0128; });
        check_same(description, some_description());
      }
    }
  }
}

TEST_CASE("a TIFF needs no metadata, and takes none that makes no sense") {
  if (!can_write(Format::tiff)) return;
  auto const image = noise(5, 3, 3, SampleType::u8);
  CHECK(std::ranges::equal(again(image, Format::tiff, {}, {}).image.bytes(), image.bytes()));
  Metadata metadata;
  metadata.exif.assign(100, std::byte{7});
  auto const decoded = again(image, Format::tiff, {}, metadata);
  CHECK(std::ranges::equal(decoded.image.bytes(), image.bytes()));
  metadata = {};
  metadata.resolution = {2, 1, false};
  auto const resolution = cli::exif_resolution(again(image, Format::tiff, {}, metadata).metadata.exif);
  CHECK((resolution.x == 2 && resolution.y == 1 && !resolution.per_inch));
}

TEST_CASE("a WebP without loss keeps pixels, and all that it holds") {
  if (!can_write(Format::webp)) return;
  for (bool const lossless : {true, false}) {
    for (Index channels = 3; channels <= 4; ++channels) {
      auto const image = noise(63, 41, channels, SampleType::u8);
      auto const metadata = everything(3, true);
      auto const decoded = again(image, Format::webp, {.quality = 90, .lossless = lossless}, metadata);
      CHECK(decoded.lossless == lossless);
      CHECK(decoded.image.channels() == channels);
      CHECK(std::ranges::equal(decoded.image.bytes(), image.bytes()) == lossless);
      CHECK(decoded.metadata.icc == metadata.icc);
      CHECK(decoded.metadata.exif == metadata.exif);
      CHECK(decoded.metadata.xmp == metadata.xmp);
    }
  }
}

TEST_CASE("gray becomes RGB in a WebP") {
  if (!can_write(Format::webp)) return;
  for (Index channels = 1; channels <= 2; ++channels) {
    auto const image = noise(63, 41, channels, SampleType::u8);
    auto const decoded = again(image, Format::webp, {.lossless = true}, {});
    REQUIRE(decoded.image.channels() == channels + 2);
    auto const gray = image.samples<std::uint8_t>(), rgb = decoded.image.samples<std::uint8_t>();
    for (std::size_t i = 0; i < static_cast<std::size_t>(image.pixels()); ++i) {
      auto const* const from = &gray[i * static_cast<std::size_t>(channels)];
      auto const* const to = &rgb[i * static_cast<std::size_t>(channels + 2)];
      REQUIRE((to[0] == from[0] && to[1] == from[0] && to[2] == from[0]));
      if (channels == 2) REQUIRE(to[3] == from[1]);
    }
  }
}
