// Photographs of any format, read as the program reads them, with a limit of pixels; what can be read is turned
// upright, written in every format that holds it, and read again.
//
// The mutator makes the checksums of a PNG's chunks fit again, so that they do not hide what lies behind them.
#include <algorithm>
#include <cstring>
#include <random>

#include <mirnet/io/image_file.hpp>

#include "fuzz.hpp"
#include "picture.hpp"

namespace {

using mirnet::Image;
using mirnet::SampleType;

constexpr mirnet::ReadOptions options{.max_pixels = 1 << 14};

bool same(Image const& a, Image const& b) {
  return a.width() == b.width() && a.height() == b.height() && a.channels() == b.channels() && a.type() == b.type() &&
         std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()) == 0;
}

/// The image without its alpha, where that is white everywhere: WebP leaves such an alpha out.
Image without_white_alpha(Image const& image) {
  if (image.channels() != 4 || image.type() != SampleType::u8) return convert_samples(image, image.type()).value();
  auto colours = Image::create(image.width(), image.height(), 3, image.type()).value();
  auto const* from = image.samples<std::uint8_t>().data();
  auto* to = colours.samples<std::uint8_t>().data();
  for (mirnet::Index i = 0; i < image.pixels(); ++i, from += 4, to += 3) {
    if (from[3] != 255) return convert_samples(image, image.type()).value();
    std::copy_n(from, 3, to);
  }
  return colours;
}

cli::Picture read(std::span<std::byte const> file, cli::FormatTraits const& format) {
  auto decoded = format.decode(file, "it", options);
  fuzz::require(decoded.ok(), "what was written can be read");
  return {std::move(decoded->image), std::move(decoded->metadata), format.format, decoded->lossless,
          std::move(decoded->warnings)};
}

/// In the deepest samples that each format has, as the program writes it. What a format without loss gives back is what
/// it got.
void write_all(Image const& image, cli::Metadata const& metadata) {
  for (auto const& format : cli::formats()) {
    if (format.encode == nullptr) continue;
    auto const possible = cli::check_encodable(cli::ImageLayout::of(image), format.format, "it");
    if (!possible) {
      fuzz::require_sentence(possible.error());
      continue;
    }
    auto const type = cli::stored_samples(format.format, image.type(), {}).value();
    auto const samples = convert_samples(image, type).value();
    std::vector<std::string> warnings;
    auto const fitting = cli::what_fits(metadata, format.format, image.colours(), warnings);
    auto const file = cli::encode(samples, format.format, {.lossless = true}, fitting);
    fuzz::require(file.ok(), "what a format can hold is written");
    auto const* const shown = cli::format_of(file->bytes());
    fuzz::require(shown != nullptr && shown->decode != nullptr, "what was written has a format");
    auto const again = read(file->bytes(), *shown);
    fuzz::require(again.image.width() == image.width() && again.image.height() == image.height(),
                  "it has the same size");
    bool const exactly = format.loss != cli::Loss::always && (format.gray || image.colours() == 3);
    if (exactly) {
      bool const is_webp = format.format == cli::Format::webp;
      bool const kept = is_webp ? same(again.image, without_white_alpha(samples)) : same(again.image, samples);
      fuzz::require(kept, "it has the same samples");
    }
    fuzz::require(again.metadata.orientation == 1, "what was written is upright");
    fuzz::require(again.metadata.icc == fitting.icc, "the profile is the same");
    fuzz::require(again.metadata.xmp == fitting.xmp, "XMP is the same");
    fuzz::require(again.metadata.iptc == fitting.iptc, "IPTC is the same");
  }
}

// --- PNG -----------------------------------------------------------------------------------------------------------

constexpr std::size_t signature_size = 8, chunk_overhead = 12;

std::uint32_t big(std::uint8_t const* at) {
  return mirnet::load_big<std::uint32_t>(reinterpret_cast<std::byte const*>(at));
}
void put_big(std::uint8_t* at, std::uint32_t value) { mirnet::store_big(reinterpret_cast<std::byte*>(at), value); }

/// Makes the checksum of every chunk fit.
void repair_png(std::span<std::uint8_t> file) {
  for (std::size_t at = signature_size; at + chunk_overhead <= file.size();) {
    std::size_t const length = big(&file[at]);
    if (length > file.size() - at - chunk_overhead) return;
    put_big(&file[at + 8 + length], mirnet::detail::crc32(std::as_bytes(file.subspan(at + 4, length + 4))));
    at += length + chunk_overhead;
  }
}

/// One small change of the header that a PNG starts with: its size, depth, colour type or interlacing.
template <class Random>
void change_png_header(std::span<std::uint8_t> file, Random& random) {
  constexpr std::size_t header = signature_size + 8;
  if (file.size() < header + 13) return;
  static constexpr std::uint8_t depths[] = {1, 2, 4, 8, 16}, types[] = {0, 2, 3, 4, 6};
  switch (random() % 5) {
    case 0: put_big(&file[header], static_cast<std::uint32_t>(1 + random() % 40)); break;
    case 1: put_big(&file[header + 4], static_cast<std::uint32_t>(1 + random() % 40)); break;
    case 2: file[header + 8] = depths[random() % 5]; break;
    case 3: file[header + 9] = types[random() % 5]; break;
    default: file[header + 12] = static_cast<std::uint8_t>(random() % 2); break;
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  auto const is_png = [&] { return mirnet::image_format(fuzz::bytes(data, size)) == mirnet::ImageFormat::png; };
  if (is_png() && random() % 8 == 0) {
    change_png_header({data, size}, random);
  } else {
    size = LLVMFuzzerMutate(data, size, most);
  }
  if (is_png() && random() % 16 != 0) repair_png({data, size});
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const file = fuzz::bytes(data, size);
  auto const* const format = cli::format_of(file);
  if (format == nullptr || format->decode == nullptr) return 0;
  auto decoded = format->decode(file, "it", options);
  if (!decoded) {
    fuzz::require_sentence(decoded.error());
    return 0;
  }
  auto& image = decoded->image;
  auto& metadata = decoded->metadata;
  fuzz::require(image.pixels() >= 1 && image.pixels() <= options.max_pixels, "an image has 1 pixel to the limit");
  fuzz::require(metadata.orientation >= 1 && metadata.orientation <= 8, "there are eight orientations");
  auto const pixels = image.pixels();
  fuzz::require(cli::make_upright(image, metadata).ok(), "small pictures can be turned");
  fuzz::require(cli::exif_orientation(metadata.exif) == 1, "the EXIF data that is kept is upright");
  fuzz::require(image.pixels() == pixels, "turning keeps the pixels");
  write_all(image, metadata);
  return 0;
}
