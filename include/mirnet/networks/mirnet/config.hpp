// The hyper-parameters that make a MIRNet, and the ranges this library accepts.
#pragma once

#include <mirnet/base/integer.hpp>
#include <mirnet/base/result.hpp>
#include <mirnet/layers/cells.hpp>
#include <mirnet/networks/image_network.hpp>

namespace mirnet::inline MIRNET_ABI {

/// The published network is the default: 31.8 million parameters.
struct MirnetConfig {
  Index features = 64;  ///< channels of the full-resolution stream, 8 to 1024 (channel attention has an eighth of them)
  Index groups = 3;     ///< recursive residual groups, 1 to 16
  Index blocks = 2;     ///< multi-scale blocks in each, 1 to 16
  Index streams = 3;    ///< resolutions in each block, 1 to 4; "height" in the authors' code
  Index columns = 2;    ///< dual attention units of each stream, 1 to 4; "width" there
  Index channels = 3;   ///< of the image, in and out, 1 to 16

  /// 1, 2 or 4; 1 is the published network. With u, not in the paper: every cell of u x u pixels of the image is one
  /// pixel of the maps, with the cell's channels in the order of torch's pixel_unshuffle. Channel c of the pixel in row
  /// y and column x of a cell becomes channel c*u*u + y*u + x.
  Index unshuffle = 1;

  friend constexpr bool operator==(MirnetConfig const&, MirnetConfig const&) = default;

  /// Images are padded to a height and a width that are multiples of this.
  constexpr Index pad_multiple() const noexcept { return unshuffle << (streams - 1); }
  /// Channels of the map that goes into the first convolution, and of the one that comes out of the last.
  constexpr Index cell_channels() const noexcept { return shape().cell_channels(); }
  constexpr ImageNetworkShape shape() const noexcept {
    return {.channels = channels,
            .output_channels = channels,
            .features = features,
            .multiple = pad_multiple(),
            .unshuffle = unshuffle};
  }

  /// Errors: model, naming the first hyper-parameter out of its range.
  constexpr Result<void> check() const noexcept {
    auto const checked = check_ranges({{"features", features, 8, 1024},
                                       {"groups", groups, 1, 16},
                                       {"blocks", blocks, 1, 16},
                                       {"streams", streams, 1, 4},
                                       {"columns", columns, 1, 4},
                                       {"channels", channels, 1, most_channels_of_a_pixel}});
    if (!checked) return checked;
    if (unshuffle != 1 && unshuffle != 2 && unshuffle != largest_cell) {
      return Error(ErrorCode::model, "unshuffle is %lld, expected 1, 2 or 4", static_cast<long long>(unshuffle));
    }
    return {};
  }
};

}  // namespace mirnet::inline MIRNET_ABI
