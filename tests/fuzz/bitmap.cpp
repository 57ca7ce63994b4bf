// BMP and TGA from memory. What is read can be mirrored in the header, and is read as its mirror image then.
#include <algorithm>
#include <cstring>
#include <vector>

#include <mirnet/io/read_bmp.hpp>
#include <mirnet/io/read_tga.hpp>

#include "fuzz.hpp"

namespace {

using mirnet::Image;
using mirnet::Index;

constexpr mirnet::ReadOptions options{.max_pixels = 1 << 14};

/// Whether b is a, with the order of its rows, of the pixels in them, or of both turned around.
bool mirrored(Image const& a, Image const& b, bool rows, bool pixels) {
  if (a.width() != b.width() || a.height() != b.height() || a.channels() != b.channels() || a.type() != b.type()) {
    return false;
  }
  auto const size = static_cast<std::size_t>(a.channels() * mirnet::sample_bytes(a.type()));
  auto const at = [&](Image const& image, Index y, Index x) {
    return image.bytes().data() + static_cast<std::size_t>(y * image.width() + x) * size;
  };
  for (Index y = 0; y < a.height(); ++y) {
    for (Index x = 0; x < a.width(); ++x) {
      auto const* const other = at(b, rows ? a.height() - 1 - y : y, pixels ? a.width() - 1 - x : x);
      if (std::memcmp(at(a, y, x), other, size) != 0) return false;
    }
  }
  return true;
}

template <class Decode>
mirnet::Result<Image> read(fuzz::Bytes file, Decode decode) {
  mirnet::Result<Image> image = decode(file, "it", options);
  if (!image) {
    fuzz::require_sentence(image.error());
  } else {
    fuzz::require(image->pixels() >= 1 && image->pixels() <= options.max_pixels, "an image has 1 pixel to the limit");
  }
  return image;
}

void read_bmp(fuzz::Bytes file) {
  auto const image = read(file, mirnet::decode_bmp);
  if (!image || mirnet::load_little<std::uint32_t>(&file[14]) < 16) return;  // the shortest header has no direction
  std::vector<std::byte> other(file.begin(), file.end());
  mirnet::store_little(&other[22], 0u - mirnet::load_little<std::uint32_t>(&other[22]));
  auto const turned = read(other, mirnet::decode_bmp);
  fuzz::require(turned.ok() && mirrored(*image, *turned, true, false), "a negative height turns a BMP upside down");
}

void read_tga(fuzz::Bytes file) {
  auto const image = read(file, mirnet::decode_tga);
  if (!image) return;
  std::vector<std::byte> other(file.begin(), file.end());
  for (unsigned const corner : {1u, 2u, 3u}) {
    other[17] = file[17] ^ static_cast<std::byte>(corner << 4);
    auto const turned = read(other, mirnet::decode_tga);
    fuzz::require(turned.ok() && mirrored(*image, *turned, (corner & 2) != 0, (corner & 1) != 0),
                  "a TGA starts in the corner that its header says");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const file = fuzz::bytes(data, size);
  if (mirnet::detail::is_bmp(file)) read_bmp(file);
  if (mirnet::detail::is_tga(file)) read_tga(file);
  return 0;
}
