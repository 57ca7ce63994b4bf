// Every format that is read, crossed with every format that is written and every kind of metadata: what comes through.
// docs/formats.md has the table; this makes it from files and compares. MIRNET_UPDATE_DOCS=1 writes it there instead.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "codecs/formats.hpp"
#include "codecs/tiff_structure.hpp"
#include "colour.hpp"
#include "picture.hpp"
#include "samples.hpp"

namespace {

using cli::Bytes;
using cli::Format;
using cli::FormatTraits;
using cli::Metadata;
using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;
using samples::bytes_of;

constexpr char const* begin_mark = "<!-- table: made by tests/cli/format_table_test.cpp -->\n";
constexpr char const* end_mark = "<!-- end of the table -->\n";

/// Of linear light: one that is whole, as JPEG XL takes no others.
Bytes profile() {
  cli::ColourTags tags;
  tags.gamma = 100000;
  return cli::profile_of(tags, 3);
}

/// A TIFF says itself how it was held, and is written upright.
void turn_tiff(Bytes& file) {
  auto const entry = bytes_of(std::string_view("\x12\x01\x03\0\x01\0\0\0\x01\0", 10));
  auto const found = std::search(file.begin(), file.end(), entry.begin(), entry.end());
  REQUIRE(found != file.end());
  found[8] = std::byte{6};
}

/// Of a picture that is to be turned by a quarter.
Bytes exif() {
  auto text = bytes_of("Maker");
  text.push_back(std::byte{0});
  cli::TiffDirectory directory;
  directory.fields = {{0x010F, cli::tiff_type::ascii, text.size(), text},
                      {0x0112, cli::tiff_type::u16, 1, {std::byte{6}, std::byte{0}}}};
  return cli::exif_of(directory, true);
}

Image picture(Index channels, SampleType type) {
  auto image = Image::create(40, 20, channels, type).value();
  image.visit([](auto samples) {
    using T = typename decltype(samples)::value_type;
    for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = mirnet::from_unit<T>(static_cast<float>(i % 97) / 96);
  });
  return image;
}

cli::Decoded decoded(std::span<std::byte const> file) {
  auto const* const format = cli::format_of(file);
  REQUIRE(bool(format));
  auto result = format->decode(file, "the file", {});
  REQUIRE_MESSAGE(result.ok(), result.error().message());
  auto& metadata = result->metadata;
  if (metadata.resolution.empty()) metadata.resolution = cli::exif_resolution(metadata.exif);
  return *std::move(result);
}

/// A file with this image, as deep as the format has it; nothing where it cannot have such channels.
std::optional<Bytes> file_with(Image const& image, Format format, Metadata const& metadata) {
  if (!cli::check_encodable(cli::ImageLayout::of(image), format, "it")) return {};
  auto const samples = mirnet::convert_samples(image, cli::stored_samples(format, image.type(), {}).value()).value();
  std::vector<std::string> warnings;
  auto const fitting = cli::what_fits(metadata, format, image.colours(), warnings);
  auto const file = cli::encode(samples, format, {.lossless = true}, fitting).value();
  return Bytes(file.bytes().begin(), file.bytes().end());
}

/// What a file that is read and written as another format still says.
std::string kept(Bytes const& source, Format to) {
  auto read = decoded(source);
  auto const before = read.metadata;
  bool const turns = before.orientation != 1;
  REQUIRE(cli::make_upright(read.image, read.metadata).ok());
  auto const image = mirnet::convert_samples(read.image, read.image.type()).value();
  auto const file = file_with(image, to, read.metadata);
  if (!file) return "";
  auto const again = decoded(*file);
  auto const& metadata = again.metadata;
  std::string letters;
  if (!before.icc.empty() && metadata.icc == before.icc) letters += 'C';
  if (!before.exif.empty() && !metadata.exif.empty()) letters += 'E';
  if (!before.xmp.empty() && metadata.xmp == before.xmp) letters += 'X';
  if (!before.iptc.empty() && metadata.iptc == before.iptc) letters += 'I';
  if (!before.resolution.empty() && !metadata.resolution.empty()) letters += 'R';
  if (turns && metadata.orientation == 1 && again.image.width() == 20 && again.image.height() == 40) letters += 'O';
  return letters;
}

/// Whether a layout comes through both formats as it is.
bool passes(Index channels, SampleType type, Format from, Format to) {
  auto const image = picture(channels, type);
  auto const source = file_with(image, from, {});
  if (!source) return false;
  auto const read = decoded(*source).image;
  auto const as_deep = [=](Image const& image_there) {
    return image_there.channels() == channels && mirnet::sample_bytes(image_there.type()) >= mirnet::sample_bytes(type);
  };
  if (!as_deep(read)) return false;
  auto const file = file_with(read, to, {});
  if (!file) return false;
  return as_deep(decoded(*file).image);
}

std::string cell(FormatTraits const& from, FormatTraits const& to) {
  Metadata all;
  all.icc = profile();
  all.exif = exif();
  all.xmp = bytes_of("<x:xmpmeta xmlns:x='adobe:ns:meta/'/>");
  all.iptc = bytes_of(std::string_view("\x1C\x02\x05\0\x05title", 10));
  all.resolution = {300, 200, true};
  auto const type = from.deepest == SampleType::f32 ? SampleType::f32 : SampleType::u8;
  auto source = file_with(picture(from.format == Format::pgm ? 1 : 3, type), from.format, all);
  REQUIRE(bool(source));
  if (from.format == Format::tiff) turn_tiff(*source);
  auto text = kept(*source, to.format);
  if (passes(4, SampleType::u8, from.format, to.format) || passes(4, SampleType::u16, from.format, to.format))
    text += 'A';
  if (passes(1, SampleType::u8, from.format, to.format) || passes(1, SampleType::u16, from.format, to.format) ||
      passes(1, SampleType::f32, from.format, to.format)) {
    text += 'G';
  }
  if (passes(3, SampleType::u16, from.format, to.format) || passes(1, SampleType::u16, from.format, to.format) ||
      passes(3, SampleType::f32, from.format, to.format)) {
    text += 'D';
  }
  return text.empty() ? "-" : text;
}

std::string table() {
  std::vector<FormatTraits const*> both;
  for (auto const& format : cli::formats()) {
    if (format.decode != nullptr && format.encode != nullptr) both.push_back(&format);
  }
  std::string text = "| from, to |";
  for (auto const* to : both) text += std::string(" ") + to->name + " |";
  text += "\n|---|";
  for (std::size_t i = 0; i < both.size(); ++i) text += "---|";
  text += '\n';
  for (auto const* from : both) {
    text += std::string("| ") + from->name + " |";
    for (auto const* to : both) text.append(" ").append(cell(*from, *to)).append(" |");
    text += '\n';
  }
  return text;
}

}  // namespace

TEST_CASE("the table of formats in the documentation is what happens") {
  for (auto const& format : cli::formats()) {
    bool const library = format.load == nullptr || format.load("it").ok();
    bool const complete = library && (format.decode != nullptr || format.plugin != nullptr);
    if (!complete || profile().empty()) {
      MESSAGE("not compared: this build lacks ", format.name);
      return;
    }
  }
  std::ifstream stream(MIRNET_FORMATS_PAGE);
  REQUIRE(stream.good());
  std::stringstream content;
  content << stream.rdbuf();
  auto const page = content.str();
  auto const begin = page.find(begin_mark), end = page.find(end_mark);
  REQUIRE(begin != std::string::npos);
  REQUIRE(end > begin);
  auto const first = begin + std::string_view(begin_mark).size();
  auto const made = table();
  if (std::getenv("MIRNET_UPDATE_DOCS") != nullptr) {
    std::ofstream(MIRNET_FORMATS_PAGE) << page.substr(0, first) << made << page.substr(end);
    return;
  }
  CHECK(page.substr(first, end - first) == made);
}
