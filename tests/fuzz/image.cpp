// Photographs of any format, read as the program reads them, with a limit of pixels; what can be read is turned
// upright, written in every format that holds it, and read again.
//
// The mutator makes the checksums of a PNG's chunks fit again, so that they do not hide what lies behind them.
#include <algorithm>
#include <cstring>
#include <random>

#include <mirnet/io/image_file.hpp>

#include "encode.hpp"
#include "fuzz.hpp"
#include "metadata.hpp"

namespace {

using mirnet::Image;
using mirnet::OutputFormat;
using mirnet::SampleType;

constexpr mirnet::ReadOptions options{.max_pixels = 1 << 14};

bool same(Image const& a, Image const& b) {
  return a.width() == b.width() && a.height() == b.height() && a.channels() == b.channels() && a.type() == b.type() &&
         std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()) == 0;
}

/// What a format without loss gives back is what it got.
void read_again(mirnet::Result<mirnet::ByteBuffer> const& file, Image const& image, bool exactly) {
  if (!file) return fuzz::require_sentence(file.error());
  auto const again = mirnet::decode_image(file->bytes(), "it", options);
  fuzz::require(again.ok(), "what was written can be read");
  fuzz::require(again->width() == image.width() && again->height() == image.height(), "it has the same size");
  if (exactly) fuzz::require(same(*again, image), "it has the same samples");
}

/// In the deepest samples that the format has, as the program writes it.
void write_all(Image const& image, cli::Metadata const& metadata) {
  for (auto const format :
       {OutputFormat::png, OutputFormat::jpeg, OutputFormat::bmp, OutputFormat::pnm, OutputFormat::pfm}) {
    auto const possible = check_encodable(image, format, "it");
    if (!possible) {
      fuzz::require_sentence(possible.error());
      continue;
    }
    if (format == OutputFormat::pfm || format == OutputFormat::pnm || format == OutputFormat::bmp) {
      auto const stored = mirnet::stored_type(format, image.type());
      bool const gray_as_colour = format == OutputFormat::bmp && image.channels() == 1;
      read_again(encode_image(image, format, "it"), image, stored == image.type() && !gray_as_colour);
      continue;
    }
    bool const png = format == OutputFormat::png;
    auto const type = png && image.type() != SampleType::u8 ? SampleType::u16 : SampleType::u8;
    auto const samples = convert_samples(image, type).value();
    auto const file = png ? cli::encode_png(samples, metadata) : cli::encode_jpeg(samples, 95, metadata);
    read_again(file, samples, png);
    if (!file) continue;
    auto const kept = cli::read_metadata(file->bytes());
    fuzz::require(kept.orientation == 1, "what was written is upright");
    // What libpng or libjpeg finds wrong with a profile it leaves out.
    fuzz::require(kept.icc.empty() || kept.icc == metadata.icc, "the profile is the same");
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
  auto const image = mirnet::decode_image(file, "it", options);
  if (!image) {
    fuzz::require_sentence(image.error());
    return 0;
  }
  fuzz::require(image->pixels() >= 1 && image->pixels() <= options.max_pixels, "an image has 1 pixel to the limit");
  auto const metadata = cli::read_metadata(file);
  fuzz::require(metadata.orientation >= 1 && metadata.orientation <= 8, "there are eight orientations");
  fuzz::require(cli::exif_orientation(metadata.exif) == 1, "the EXIF data that is kept is upright");
  auto const turned = cli::upright(*image, metadata.orientation).value();
  fuzz::require(turned.pixels() == image->pixels(), "turning keeps the pixels");
  write_all(turned, metadata);
  return 0;
}
