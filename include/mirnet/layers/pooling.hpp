// Averages over the whole image.
#pragma once

#include <span>

#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline v0 {

/// Sums of a map's channels, gathered while a layer writes it: each block of the kernels has a line of its own.
template <class T>
class ChannelSums {
 public:
  /// Room for a map of so many blocks; the kernels fill it.
  T* add(Context<T>& context, Index blocks, Index pixels, Index pitch) noexcept {
    sums_ = ArenaBlock<T>(context.arena, blocks * pitch);
    blocks_ = blocks;
    pixels_ = pixels;
    return sums_.data();
  }

  /// The sum of channel c over the map. Partial sums cover few pixels and are added in double, in a fixed order:
  /// neither the number of threads nor the size of the image costs accuracy.
  double total(Index c, Index pitch) const noexcept {
    double sum = 0.0;
    for (Index i = 0; i < blocks_; ++i) sum += static_cast<double>(sums_.data()[i * pitch + c]);
    return sum;
  }

  Index pixels() const noexcept { return pixels_; }

 private:
  ArenaBlock<T> sums_;
  Index blocks_ = 0, pixels_ = 0;
};

/// The mean over all pixels of a map whose sums are there: `output` is 1x1.
template <class T>
void global_average(Context<T>& context, ChannelSums<T> const& sums, View<T> output) noexcept {
  context.once([&] {
    for (Index c = 0; c < output.pitch(); ++c) {
      output.data()[c] = static_cast<T>(sums.total(c, output.pitch()) / static_cast<double>(sums.pixels()));
    }
  });
}

/// The mean over all pixels of the sum of several maps of one shape, which is the sum of their means: `output` is 1x1.
/// Partial sums of a fixed number of pixels are added in a fixed order, in double: neither the number of threads nor
/// the size of the image costs accuracy.
template <class T>
void global_average(Context<T>& context, std::span<View<T const> const> maps, View<T> output) noexcept {
  constexpr Index pixels_a_sum = 256;
  Index const pixels = maps[0].pixels(), pitch = maps[0].pitch();
  Index const sums_a_map = divide_up(pixels, pixels_a_sum);
  Index const sums = sums_a_map * static_cast<Index>(maps.size());
  ArenaBlock<T> const partial(context.arena, sums * pitch);
  for (std::size_t map = 0; map < maps.size(); ++map) {
    T* const row = advance(partial.data(), static_cast<Index>(map) * sums_a_map * pitch);
    context.each_range(pixels, pixels_a_sum, [&](Index first, Index last, Index) {
      context.kernels->channel_sums(maps[map].data() + first * pitch, last - first, pitch,
                                    row + first / pixels_a_sum * pitch);
    });
  }
  context.once([&] {
    for (Index c = 0; c < pitch; ++c) {
      double sum = 0.0;
      for (Index i = 0; i < sums; ++i) sum += static_cast<double>(partial.data()[i * pitch + c]);
      output.data()[c] = static_cast<T>(sum / static_cast<double>(pixels));
    }
  });
}

}  // namespace mirnet::inline v0
