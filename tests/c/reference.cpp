#include "reference.hpp"

#include <cstring>
#include <type_traits>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/image/restore.hpp>
#include <mirnet/model/byte_source.hpp>
#include <mirnet/model/weight_file.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>

#include "support/networks.hpp"

namespace reference {
namespace {

mirnet::Image image_of(mirnet_format const& format, std::span<std::byte const> samples) {
  auto const type = format.type == MIRNET_U8    ? mirnet::SampleType::u8
                    : format.type == MIRNET_U16 ? mirnet::SampleType::u16
                                                : mirnet::SampleType::f32;
  auto image = mirnet::Image::create(static_cast<mirnet::Index>(format.width),
                                     static_cast<mirnet::Index>(format.height), format.channels, type)
                   .value();
  std::memcpy(image.bytes().data(), samples.data(), samples.size());
  return image;
}

template <class Net>
Bytes restored_by(std::span<std::byte const> weights, Request const& request) {
  using T = typename Net::Scalar;
  mirnet::MemorySource source(weights);
  auto const model = mirnet::Model<Net>::load(source).value();
  mirnet::Context<T> context(*mirnet::choose_kernels<T>(request.instruction_set).value());
  if (request.direct) context.algorithm = mirnet::Algorithm::direct;
  auto const image = image_of(request.format, request.input);
  mirnet::Image right;
  if (!request.right.empty()) right = image_of(request.format, request.right);
  mirnet::Views const views(image, request.right.empty() ? nullptr : &right);
  auto const tiling =
      request.tile == MIRNET_WHOLE
          ? mirnet::plan_whole(model, context, image).value()
          : mirnet::plan_tiles(model, context, image,
                               request.tile == 0 ? mirnet::usual_tile : static_cast<mirnet::Index>(request.tile))
                .value();
  auto const result = mirnet::restore(model, views, context, tiling, {request.brightness, request.colour}).value();
  return {result.bytes().begin(), result.bytes().end()};
}

}  // namespace

Bytes const& tiny_weights() {
  static Bytes const bytes = test::make_weight_file(test::tiny);
  return bytes;
}

Bytes const& two_view_weights() {
  static Bytes const bytes = test::make_weight_file(
      mirnet::MirnetV2Config{.features = 16, .blocks = 1, .channels = 6, .bias = true, .adds_image = false});
  return bytes;
}

Bytes restored(std::span<std::byte const> weights, Request const& request) {
  if (!request.right.empty()) return restored_by<mirnet::MirnetV2<float>>(weights, request);
  return request.in_bfloat16 ? restored_by<mirnet::Mirnet<mirnet::bfloat16>>(weights, request)
                             : restored_by<mirnet::Mirnet<float>>(weights, request);
}

}  // namespace reference
