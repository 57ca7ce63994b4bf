// What MIRNet and MIRNet-v2 have around their residual groups: the image is padded, goes through a convolution into
// feature maps, comes back through another one, and is added to what comes back.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <optional>
#include <type_traits>

#include <mirnet/base/result.hpp>
#include <mirnet/layers/cells.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/model/weight_file.hpp>

namespace mirnet::inline MIRNET_ABI {

/// A hyper-parameter and the values that it may have.
struct HyperParameterRange {
  char const* name;
  Index value, least, most;
};

/// Errors: model, naming the first hyper-parameter out of its range.
constexpr Result<void> check_ranges(std::initializer_list<HyperParameterRange> ranges) noexcept {
  for (auto const& range : ranges) {
    if (range.value < range.least || range.value > range.most) {
      return Error(ErrorCode::model, "%s is %lld, expected %lld to %lld", range.name,
                   static_cast<long long>(range.value), static_cast<long long>(range.least),
                   static_cast<long long>(range.most));
    }
  }
  return {};
}

/// A field of a weight file's header that has one value for all of a network's files, or one that follows from others.
struct FixedField {
  char const* name;
  std::size_t offset;
  Index expected;
};

/// Errors: model, naming the first field that has another value.
inline Result<void> expect_fields(WeightHeader const& header, std::initializer_list<FixedField> fields) noexcept {
  for (auto const& f : fields) {
    if (auto const checked = header.expect(f.name, f.offset, f.expected); !checked) return checked;
  }
  return {};
}

/// The sizes of images and maps.
struct ImageNetworkShape {
  Index channels = 3;         ///< of the image
  Index output_channels = 3;  ///< of the output; as many as the image's where the image is added
  Index features = 0;         ///< channels of the maps
  Index multiple = 1;         ///< images are padded to a height and a width that are multiples of this
  Index unshuffle = 1;        ///< the maps have a pixel for each cell of so many pixels in height and width
  bool adds_image = true;     ///< to the output

  /// Channels of the map that goes into the first convolution, and of the one that comes out of the last.
  constexpr Index cell_channels() const noexcept { return channels * unshuffle * unshuffle; }
  constexpr Index output_cell_channels() const noexcept { return output_channels * unshuffle * unshuffle; }

  /// Of a map for an image of this size.
  constexpr Shape map(Index height, Index width, Index map_channels) const noexcept {
    return {round_up(height, multiple) / unshuffle, round_up(width, multiple) / unshuffle, map_channels};
  }

  /// Whether the bytes of a run for an image of this size can be counted. Errors: invalid_argument, for a size below 1;
  /// memory, for one that no memory can hold.
  template <class T>
  constexpr Result<void> check_size(Index height, Index width) const noexcept {
    if (height < 1 || width < 1) {
      return Error(ErrorCode::invalid_argument, "an image has at least 1x1 pixels, found %lldx%lld",
                   static_cast<long long>(width), static_cast<long long>(height));
    }
    // The rehearsal adds up maps and their arithmetic: with room for far more than the seven maps that it holds at
    // most, neither sum can wrap. Where an Index has 32 bits, such a bound would refuse images that there is memory
    // for.
    constexpr Index largest_map = (std::numeric_limits<Index>::max)() >> (sizeof(Index) > 4 ? 17 : 4);
    Index const longest = (std::numeric_limits<Index>::max)() - multiple;
    std::optional<Index> widest, image;
    if (height <= longest && width <= longest) {
      widest = map_bytes<T>(map(height, width, (std::max)(features, cell_channels())));
      image = map_bytes<Accumulator<T>>({height, width, channels});
    }
    // Nodes of a trace add up two images and a map.
    if (!widest || *widest > largest_map || !image || *image > (std::numeric_limits<Index>::max)() / 4) {
      return Error(ErrorCode::memory, "an image of %lldx%lld pixels is larger than any memory",
                   static_cast<long long>(width), static_cast<long long>(height));
    }
    return {};
  }
};

/// conv_out(deep(conv_in(x))), plus x where the network adds the image. deep(context, features) passes the features on
/// in their own map.
template <class T>
class ImageNetwork {
 public:
  using Pixel = Accumulator<T>;

  ImageNetwork() = default;
  explicit constexpr ImageNetwork(ImageNetworkShape const& shape, bool bias = false) noexcept
      : conv_in_(shape.cell_channels(), shape.features, 3, {.bias = bias}),
        conv_out_(shape.features, shape.output_cell_channels(), 3, {.bias = bias}) {}

  constexpr Conv2d<T>& conv_in() noexcept { return conv_in_; }
  constexpr Conv2d<T>& conv_out() noexcept { return conv_out_; }

  /// For images of any size: pads, computes, crops.
  template <class Deep>
  constexpr void run(Context<T>& context, ImageNetworkShape const& shape, View<Pixel const> image, View<Pixel> output,
                     Deep&& deep) const noexcept {
    Index const cell = shape.unshuffle;
    Shape const size = shape.map(image.height(), image.width(), shape.cell_channels());
    if constexpr (std::is_same_v<T, Pixel>) {
      if (size == image.shape()) return forward(context, image, output, shape.adds_image, deep);
    }
    // The image is added as it is, which may have more bits than T, so that no padded copy of it has to outlive the
    // first convolution.
    ArenaMap<T> const features(context.arena, conv_in_.output_shape(size));
    {
      ArenaMap<T> const padded(context.arena, size);
      fit<T>(context.at(cell > 1 ? "unshuffle" : "pad"), image, padded.view(), cell);
      conv_in_.forward(context.at("conv_in"), padded, features);
    }
    deep(context, features.view());
    ArenaMap<T> const result(context.arena, conv_out_.output_shape(features.shape()));
    write_output(context, features, result);
    auto const last = context.at(cell > 1 ? "shuffle" : "crop");
    if (shape.adds_image) return add_residual<T>(last, image, result, cell, output);
    fit<T>(last, View<T const>(result), output, cell);
  }

  /// For images, or maps of their cells, whose height and width need no padding. The output does not overlap the image.
  template <class Deep>
  constexpr void forward(Context<T>& context, View<T const> image, View<T> output, bool adds_image,
                         Deep&& deep) const noexcept {
    ArenaMap<T> const features(context.arena, conv_in_.output_shape(image.shape()));
    conv_in_.forward(context.at("conv_in"), image, features);
    deep(context, features.view());
    Epilogue<T> epilogue;
    if (adds_image) epilogue.residual = image;
    write_output(context, features, output, epilogue);
  }

 private:
  /// What conv_out rounds is in the picture as it is.
  constexpr void write_output(Context<T>& context, View<T const> features, View<T> output,
                              Epilogue<T> const& epilogue = {}) const noexcept {
    context.precisely([&] { conv_out_.forward(context.at("conv_out"), features, output, epilogue); });
  }

  Conv2d<T> conv_in_, conv_out_;
};

}  // namespace mirnet::inline MIRNET_ABI
