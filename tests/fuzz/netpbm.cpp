// PBM, PGM, PPM, PAM and PFM from memory, and back: what was written reads as the same samples.
#include <cstring>

#include <mirnet/io/pam.hpp>
#include <mirnet/io/pnm.hpp>

#include "fuzz.hpp"

namespace {

using mirnet::Image;

bool same(Image const& a, Image const& b) {
  return a.width() == b.width() && a.height() == b.height() && a.channels() == b.channels() && a.type() == b.type() &&
         std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()) == 0;
}

constexpr mirnet::ReadOptions options{.max_pixels = 1 << 16};

/// Decodes, and what can be decoded goes through the writer and the reader once more.
template <class Decode, class Encode>
void there_and_back(fuzz::Bytes file, Decode decode, Encode encode) {
  mirnet::Result<Image> const image = decode(file, "it", options);
  if (!image) return fuzz::require_sentence(image.error());
  fuzz::require(image->pixels() >= 1 && image->pixels() <= options.max_pixels, "an image has 1 pixel to the limit");
  auto const written = encode(*image);
  fuzz::require(written.ok(), "what was read can be written");
  mirnet::Result<Image> const again = decode(written->bytes(), "it", options);
  fuzz::require(again.ok(), "what was written can be read");
  fuzz::require(same(*image, *again), "an image is the same after writing and reading");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const file = fuzz::bytes(data, size);
  there_and_back(file, mirnet::decode_pnm, [](Image const& image) { return encode_pnm(image, image.colours() == 3); });
  there_and_back(file, mirnet::decode_pam, mirnet::encode_pam);
  there_and_back(file, mirnet::decode_pfm, mirnet::encode_pfm);

  // Other channels or samples than the file's: the sizes are right, whatever the numbers.
  auto const image = mirnet::decode_pnm(file, "it", options);
  if (!image || image->type() != mirnet::SampleType::u16) return 0;
  auto const floats = mirnet::convert_samples(*image, mirnet::SampleType::f32).value();
  auto const back = mirnet::convert_samples(floats, mirnet::SampleType::u16).value();
  fuzz::require(same(*image, back), "floats hold every number of 16 bits");
  auto const colour = mirnet::encode_pnm(*image, true).value();
  fuzz::require(mirnet::decode_pnm(colour.bytes(), "it", options).value().channels() == 3, "a PPM has three channels");
  return 0;
}
