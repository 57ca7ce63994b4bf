// The hyper-parameters that make a MIRNet-v2, and the ranges this library accepts.
#pragma once

#include <mirnet/base/result.hpp>
#include <mirnet/layers/activation.hpp>
#include <mirnet/networks/image_network.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Of all leaky ReLUs of the network, for maps of T. The slope is rounded to T here: where a run makes it a T, the
/// caller's rounding mode has no say in the bits.
template <class T>
inline constexpr LeakyRelu mirnet_v2_activation{static_cast<double>(T(0.2))};

/// The published network is the default: 5.9 million parameters. The numbers of groups (4), streams (3) and rounds (2)
/// are fixed: the authors' code ignores its parameters for them.
struct MirnetV2Config {
  Index features = 80;     ///< channels of the full-resolution stream: a multiple of 16, 16 to 512
  Index blocks = 2;        ///< multi-scale blocks in each residual group, 1 to 16
  Index channels = 3;      ///< of the image that goes in: 3, or 6 for two views of 3
  bool bias = false;       ///< of the convolutions that may have one
  bool adds_image = true;  ///< to the output; false for the defocus task, which alone takes two views

  static constexpr Index groups = 4, streams = 3, output_channels = 3;

  friend constexpr bool operator==(MirnetV2Config const&, MirnetV2Config const&) = default;

  /// Images are padded to a height and a width that are multiples of this.
  static constexpr Index pad_multiple() noexcept { return Index{1} << (streams - 1); }
  /// Of a stream at 1/2^stream of the resolution: features * 1.5^stream.
  constexpr Index stream_channels(Index stream) const noexcept {
    return stream == 0 ? features : stream == 1 ? features * 3 / 2 : features * 9 / 4;
  }
  /// Of the 3x3 convolutions in the context blocks of a residual group.
  static constexpr Index convolution_groups(Index group) noexcept { return group == 0 ? 1 : group == 1 ? 2 : 4; }

  constexpr ImageNetworkShape shape() const noexcept {
    return {.channels = channels,
            .output_channels = output_channels,
            .features = features,
            .multiple = pad_multiple(),
            .adds_image = adds_image};
  }

  /// Errors: model, naming the first hyper-parameter out of its range.
  constexpr Result<void> check() const noexcept {
    auto const number = [](Index value) { return static_cast<long long>(value); };
    if (features % 16 != 0 || features < 16 || features > 512) {
      return Error(ErrorCode::model, "features is %lld, expected a multiple of 16 from 16 to 512", number(features));
    }
    if (auto const checked = check_ranges({{"blocks", blocks, 1, 16}}); !checked) return checked;
    if (channels != 3 && channels != 6) {
      return Error(ErrorCode::model, "channels is %lld, expected 3, or 6 for two views", number(channels));
    }
    if (adds_image && channels != output_channels) {
      return Error(ErrorCode::model,
                   "channels is 6, two views: expected the task defocus, whose output has no image added "
                   "(adds_image = false)");
    }
    return {};
  }
};

}  // namespace mirnet::inline MIRNET_ABI
