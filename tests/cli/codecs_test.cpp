// What decoders make of files, and encoders of metadata: the variants of JPEG that libraries disagree on, and the
// chunks and segments that are kept.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <jpeglib.h>

#include "codecs/formats.hpp"
#include "colour.hpp"
#include "samples.hpp"

namespace {

using cli::Bytes;
using cli::Format;
using cli::Metadata;
using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;
using samples::bytes_of;

cli::Decoded decoded(std::span<std::byte const> file) {
  auto const* const format = cli::format_of(file);
  REQUIRE(bool(format));
  REQUIRE(bool(format->decode));
  auto result = format->decode(file, "the file", {}).value();
  auto& metadata = result.metadata;
  if (metadata.resolution.empty()) metadata.resolution = cli::exif_resolution(metadata.exif);
  return result;
}

Image flat(Index width, Index height, Index channels, SampleType type = SampleType::u8) {
  auto image = Image::create(width, height, channels, type).value();
  image.visit([](auto samples) {
    using T = typename decltype(samples)::value_type;
    std::fill(samples.begin(), samples.end(), mirnet::from_unit<T>(0.4f));
  });
  return image;
}

/// A JPEG as libjpeg writes it; `change` sets what is special.
template <class Change>
Bytes jpeg(J_COLOR_SPACE space, std::vector<JSAMPLE> const& row, int width, int height, Change change) {
  jpeg_compress_struct encoder{};
  jpeg_error_mgr errors;
  encoder.err = jpeg_std_error(&errors);
  jpeg_create_compress(&encoder);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&encoder, &memory, &size);
  encoder.image_width = static_cast<JDIMENSION>(width);
  encoder.image_height = static_cast<JDIMENSION>(height);
  encoder.input_components = static_cast<int>(row.size()) / width;
  encoder.in_color_space = space;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, 100, TRUE);
  change(encoder);
  jpeg_start_compress(&encoder, TRUE);
  for (int y = 0; y < height; ++y) {
    auto* line = const_cast<JSAMPLE*>(row.data());
    jpeg_write_scanlines(&encoder, &line, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  auto const* const begin = reinterpret_cast<std::byte const*>(memory);
  Bytes file(begin, begin + size);
  std::free(memory);
  return file;
}

bool near(std::byte sample, int value) { return std::abs(std::to_integer<int>(sample) - value) <= 2; }

std::vector<JSAMPLE> repeated(std::initializer_list<int> pixel, int width) {
  std::vector<JSAMPLE> row;
  for (int x = 0; x < width; ++x) {
    for (int const sample : pixel) row.push_back(static_cast<JSAMPLE>(sample));
  }
  return row;
}

/// A colour profile's header for a colour space, and nothing behind it.
Bytes profile_for(char const* space) {
  Bytes icc(132, std::byte{0});
  icc[3] = std::byte{132};
  for (std::size_t i = 0; i < 4; ++i) {
    icc[16 + i] = static_cast<std::byte>(space[i]);
    icc[36 + i] = static_cast<std::byte>("acsp"[i]);
  }
  return icc;
}

}  // namespace

TEST_CASE("ink becomes light") {
  // Adobe's files hold 255 for no ink: a quarter of cyan, half of magenta, no yellow, a fifth of black.
  auto const adobe = jpeg(JCS_CMYK, repeated({191, 128, 255, 204}, 16), 16, 16, [](auto&) {});
  auto const picture = decoded(adobe);
  REQUIRE(picture.image.channels() == 3);
  auto const pixel = picture.image.bytes().first(3);
  CHECK(near(pixel[0], 191 * 204 / 255));
  CHECK(near(pixel[1], 128 * 204 / 255));
  CHECK(near(pixel[2], 204));
  REQUIRE(picture.warnings.size() == 1);
  CHECK(picture.warnings[0].find("CMYK picture without a colour profile") != std::string::npos);
  // Others hold what their numbers say.
  auto const plain =
      jpeg(JCS_CMYK, repeated({64, 127, 0, 51}, 16), 16, 16, [](auto& encoder) { encoder.write_Adobe_marker = FALSE; });
  auto const second = decoded(plain);
  auto const same = second.image.bytes().first(3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(near(same[i], std::to_integer<int>(pixel[i])));
  // In luminance and colours, as printers store it.
  auto const ycck = jpeg(JCS_CMYK, repeated({191, 128, 255, 204}, 16), 16, 16,
                         [](auto& encoder) { jpeg_set_colorspace(&encoder, JCS_YCCK); });
  auto const third_picture = decoded(ycck);
  auto const third = third_picture.image.bytes().first(3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(near(third[i], std::to_integer<int>(pixel[i])));
}

TEST_CASE("JPEG: arithmetic coding, RGB, sampling of every kind") {
  auto const row = repeated({200, 100, 50}, 32);
  auto const check = [&](Bytes const& file) {
    auto const picture = decoded(file);
    CHECK(picture.warnings.empty());
    REQUIRE(picture.image.channels() == 3);
    auto const samples = picture.image.bytes();
    for (std::size_t i = 0; i < samples.size(); ++i) REQUIRE(near(samples[i], row[i % 3]));
  };
  check(jpeg(JCS_RGB, row, 32, 20, [](auto& encoder) { encoder.arith_code = TRUE; }));
  check(jpeg(JCS_RGB, row, 32, 20, [](auto& encoder) { jpeg_set_colorspace(&encoder, JCS_RGB); }));
  check(jpeg(JCS_RGB, row, 32, 20, [](auto& encoder) { jpeg_simple_progression(&encoder); }));
  for (int across = 1; across <= 2; ++across) {
    for (int down = 1; down <= 2; ++down) {
      check(jpeg(JCS_RGB, row, 32, 20, [&](auto& encoder) {
        encoder.comp_info[0].h_samp_factor = across;
        encoder.comp_info[0].v_samp_factor = down;
      }));
    }
  }
}

TEST_CASE("colours of half the width keep their place up to the border") {
  // Left of x = 8 one colour and right of it another: the colours are smoothed over the edge, and flat at the border.
  std::vector<JSAMPLE> row;
  for (int x = 0; x < 16; ++x) {
    for (int const sample : {x < 8 ? 30 : 170, x < 8 ? 160 : 66, x < 8 ? 200 : 41}) {
      row.push_back(static_cast<JSAMPLE>(sample));
    }
  }
  auto const file = jpeg(JCS_RGB, row, 16, 16, [](auto& encoder) {
    encoder.comp_info[0].h_samp_factor = 2;
    encoder.comp_info[0].v_samp_factor = 1;
  });
  auto const picture = decoded(file);
  for (std::size_t x = 12; x < 16; ++x) {
    auto const pixel = picture.image.bytes().subspan((8 * 16 + x) * 3, 3);
    CAPTURE(x);
    CHECK(near(pixel[0], 170));
    CHECK(near(pixel[1], 66));
    CHECK(near(pixel[2], 41));
  }
}

TEST_CASE("JPEG: what is between segments or missing at the end") {
  auto const whole = jpeg(JCS_RGB, repeated({200, 100, 50}, 32), 32, 20, [](auto&) {});
  auto const expected = decoded(whole);
  auto const is_same = [&](Bytes const& file, std::size_t warnings) {
    auto const picture = decoded(file);
    CHECK(std::ranges::equal(picture.image.bytes(), expected.image.bytes()));
    CHECK(picture.warnings.size() == warnings);
  };
  auto rubbish = whole;
  rubbish.insert(rubbish.begin() + 20, 7, std::byte{0x55});  // behind the segment of JFIF
  is_same(rubbish, 0);
  Bytes const no_end(whole.begin(), whole.end() - 2);
  is_same(no_end, 1);
  auto trailer = no_end;
  trailer.insert(trailer.end(), 500, std::byte{0});
  is_same(trailer, 1);
  for (std::size_t const size : {whole.size() - 3, whole.size() - 20, whole.size() / 2, std::size_t{30}}) {
    CAPTURE(size);
    auto const refused = cli::decode_jpeg(std::span(whole).first(size), "the file", {});
    REQUIRE(!refused);
    CHECK(std::string_view(refused.error().message()).find("truncated JPEG file") != std::string_view::npos);
  }
}

TEST_CASE("metadata comes back from each format that holds it") {
  Metadata all;
  // Whole profiles, where there is something to make them: JPEG XL takes no others.
  cli::ColourTags tags;
  tags.gamma = 100000;
  auto const profile = [&](Index colours) {
    auto made = cli::profile_of(tags, colours);
    return made.empty() ? profile_for(colours == 1 ? "GRAY" : "RGB ") : made;
  };
  all.icc = profile(3);
  all.exif = bytes_of(std::string_view("II*\0\x08\0\0\0\0\0\0\0\0\0", 14));
  all.xmp = bytes_of("<x:xmpmeta xmlns:x='adobe:ns:meta/'/>");
  all.iptc = bytes_of(std::string_view("\x1C\x02\x05\0\x05title", 10));
  all.resolution = {300, 200, true};
  all.colour.gamma = 45455;
  all.colour.chromaticities = {31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000};
  all.colour.cicp = {9, 16, 0, 1};
  for (auto const& format : cli::formats()) {
    if (format.encode == nullptr) continue;
    CAPTURE(format.name);
    Index const colours = format.format == Format::pgm ? 1 : 3;
    auto metadata = all;
    if (colours == 1) metadata.icc = profile(1);
    std::vector<std::string> warnings;
    auto const fitting = cli::what_fits(metadata, format.format, colours, warnings);
    auto const& holds = format.holds;
    bool const complete = holds.icc && holds.exif && holds.xmp && holds.iptc && holds.resolution;
    CHECK(warnings.empty() == complete);
    auto const type = format.deepest == SampleType::f32 ? SampleType::f32 : SampleType::u8;
    auto const file = cli::encode(flat(20, 10, colours, type), format.format, {.lossless = true}, fitting).value();
    auto const found = decoded(file.bytes()).metadata;
    CHECK(found.icc == (holds.icc ? metadata.icc : Bytes()));
    if (format.format != Format::tiff) CHECK(found.exif == (holds.exif ? metadata.exif : Bytes()));
    CHECK(found.xmp == (holds.xmp ? metadata.xmp : Bytes()));
    CHECK(found.iptc == (holds.iptc ? metadata.iptc : Bytes()));
    CHECK(found.resolution.empty() == !holds.resolution);
    if (holds.resolution) {
      CHECK(found.resolution.x == doctest::Approx(300).epsilon(1e-4));
      CHECK(found.resolution.y == doctest::Approx(200).epsilon(1e-4));
    }
    CHECK(found.colour.gamma == (holds.colour_tags ? 45455 : 0));
    CHECK(found.colour.has_chromaticities() == holds.colour_tags);
    CHECK(found.colour.has_cicp() == holds.colour_tags);
  }
}

TEST_CASE("a profile for other colours than the pixels have is left out with a warning") {
  auto const warnings_for = [](char const* space, Format format, Index colours, bool kept) {
    Metadata metadata;
    metadata.icc = profile_for(space);
    std::vector<std::string> warnings;
    CHECK(cli::what_fits(metadata, format, colours, warnings).icc.empty() == !kept);
    return warnings;
  };
  CHECK(warnings_for("RGB ", Format::png, 3, true).empty());
  CHECK(warnings_for("GRAY", Format::png, 1, true).empty());
  CHECK(warnings_for("RGB ", Format::jpeg, 1, true).empty());
  CHECK(warnings_for("RGB ", Format::png, 1, false).size() == 1);
  CHECK(warnings_for("GRAY", Format::png, 3, false).size() == 1);
  CHECK(warnings_for("CMYK", Format::png, 3, false).size() == 1);
  // A WebP makes gray RGB.
  if (cli::traits(Format::webp).encode != nullptr) CHECK(warnings_for("GRAY", Format::webp, 1, false).size() == 1);
}

TEST_CASE("EXIF of a turned picture has its new sides, and nothing of the thumbnail") {
  // Little-endian: a first directory with a width, an orientation of type LONG and a link to the EXIF directory; a
  // second directory with a thumbnail in the middle of the structure.
  Bytes exif = bytes_of(std::string_view("II*\0\x08\0\0\0", 8));
  auto const put = [&](std::size_t value, int size) {
    for (int i = 0; i < size; ++i) exif.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFF));
  };
  auto const entry = [&](std::size_t tag, std::size_t type, std::size_t count, std::size_t value) {
    put(tag, 2);
    put(type, 2);
    put(count, 4);
    put(value, 4);
  };
  constexpr std::size_t first = 8, inner = first + 2 + 3 * 12 + 4, second = inner + 2 + 2 * 12 + 4,
                        thumbnail = second + 2 + 2 * 12 + 4, note = thumbnail + 10;
  put(3, 2);
  entry(0x0100, 4, 1, 48);
  entry(0x0112, 4, 1, 6);
  entry(0x8769, 4, 1, inner);
  put(second, 4);
  put(2, 2);
  entry(0xA002, 4, 1, 48);
  entry(0xA003, 3, 1, 32);
  put(0, 4);
  put(2, 2);
  entry(0x0201, 4, 1, thumbnail);
  entry(0x0202, 4, 1, 10);
  put(0, 4);
  for (int i = 0; i < 10; ++i) put(0xD8, 1);
  for (char const c : std::string_view("a maker's note")) put(static_cast<unsigned char>(c), 1);
  REQUIRE(exif.size() == note + 14);

  CHECK(cli::exif_orientation(exif) == 6);
  auto const upright = cli::upright_exif(exif, 32, 48);
  REQUIRE(upright.size() == exif.size());
  auto const at = [&](std::size_t place) { return std::to_integer<int>(upright[place]); };
  CHECK(at(first + 2 + 8) == 32);
  CHECK(at(first + 2 + 12 + 8) == 1);
  CHECK(at(inner + 2 + 8) == 32);
  CHECK(at(inner + 2 + 12 + 8) == 48);
  CHECK(std::all_of(upright.begin() + second, upright.begin() + note, [](std::byte b) { return b == std::byte{0}; }));
  CHECK(std::equal(upright.begin() + note, upright.end(), exif.begin() + note));
  // What is at the end is cut off.
  Bytes const ends(exif.begin(), exif.begin() + note);
  CHECK(cli::upright_exif(ends, 32, 48).size() == second);
}

TEST_CASE("XMP says that the picture is upright") {
  auto const upright = [](std::string_view xmp) {
    auto const bytes = cli::upright_xmp(bytes_of(xmp));
    return std::string(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  };
  CHECK(upright("<a tiff:Orientation=\"6\" tiff:Make='8'/>") == "<a tiff:Orientation=\"1\" tiff:Make='8'/>");
  CHECK(upright("<tiff:Orientation>3</tiff:Orientation>") == "<tiff:Orientation>1</tiff:Orientation>");
  CHECK(upright("tiff:Orientation") == "tiff:Orientation");
}
