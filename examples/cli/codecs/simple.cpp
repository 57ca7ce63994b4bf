// The formats that the library's headers read and write, and that hold nothing besides pixels.
#include <mirnet/io/image_file.hpp>

#include "codec.hpp"

namespace cli {

mirnet::Result<Decoded> decode_simple(std::span<std::byte const> file, char const* name,
                                      mirnet::ReadOptions const& options) {
  auto image = mirnet::decode_image(file, name, options);
  if (!image) return image.error();
  return Decoded{*std::move(image), {}, {}, false};
}

namespace {

template <mirnet::OutputFormat format>
mirnet::Result<std::unique_ptr<RowEncoder>> encode_by_library(ImageLayout const& layout) {
  auto const encode = [](mirnet::Image const& image) { return mirnet::encode_image(image, format, "the picture"); };
  return WholeImageEncoder<decltype(encode)>::start(layout, encode);
}

}  // namespace

mirnet::Result<std::unique_ptr<RowEncoder>> encode_bmp(ImageLayout const& layout, EncodeOptions const&,
                                                       Metadata const&) {
  return encode_by_library<mirnet::OutputFormat::bmp>(layout);
}
mirnet::Result<std::unique_ptr<RowEncoder>> encode_pgm(ImageLayout const& layout, EncodeOptions const&,
                                                       Metadata const&) {
  return encode_by_library<mirnet::OutputFormat::pgm>(layout);
}
mirnet::Result<std::unique_ptr<RowEncoder>> encode_ppm(ImageLayout const& layout, EncodeOptions const&,
                                                       Metadata const&) {
  return encode_by_library<mirnet::OutputFormat::ppm>(layout);
}
mirnet::Result<std::unique_ptr<RowEncoder>> encode_pnm(ImageLayout const& layout, EncodeOptions const&,
                                                       Metadata const&) {
  return encode_by_library<mirnet::OutputFormat::pnm>(layout);
}
mirnet::Result<std::unique_ptr<RowEncoder>> encode_pam(ImageLayout const& layout, EncodeOptions const&,
                                                       Metadata const&) {
  return encode_by_library<mirnet::OutputFormat::pam>(layout);
}
mirnet::Result<std::unique_ptr<RowEncoder>> encode_pfm(ImageLayout const& layout, EncodeOptions const&,
                                                       Metadata const&) {
  return encode_by_library<mirnet::OutputFormat::pfm>(layout);
}

}  // namespace cli
