// HEIC files, read as the plug-in mirnet-heic reads them, with a limit of pixels. The plug-in runs this in the sandbox;
// here what the libraries do wrong is seen.
#include "codecs/codec.hpp"
#include "fuzz.hpp"
#include "picture.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  constexpr mirnet::ReadOptions options{.max_pixels = 1 << 14};
  auto const file = fuzz::bytes(data, size);
  auto const* const format = cli::format_of(file);
  if (format == nullptr || format->format != cli::Format::heic) return 0;
  auto decoded = cli::decode_heic(file, "it", options);
  if (!decoded) {
    fuzz::require_sentence(decoded.error());
    return 0;
  }
  auto& image = decoded->image;
  auto const pixels = image.pixels();
  fuzz::require(pixels >= 1 && pixels <= options.max_pixels, "an image has 1 pixel to the limit");
  fuzz::require(cli::make_upright(image, decoded->metadata).ok(), "small pictures can be turned");
  fuzz::require(image.pixels() == pixels, "turning keeps the pixels");
  return 0;
}
