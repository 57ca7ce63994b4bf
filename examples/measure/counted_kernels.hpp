// How many products the kernels really compute. Fast algorithms need fewer than the definition, padding and incomplete
// tiles cost some more: a rehearsal through this table adds them up, kernel by kernel.
#pragma once

#include <mirnet/kernels/table.hpp>

namespace measure {

/// A copy of a table that counts while a network or a layer is rehearsed. Function pointers know no object, so there is
/// one count for each T: one rehearsal at a time.
template <class T>
class CountedKernels {
 public:
  explicit CountedKernels(mirnet::KernelTable<T> const& kernels) noexcept : table_(kernels) {
    real_ = kernels;
    products_ = 0.0;
    table_.convolution_work_tiles = [](mirnet::Convolution<T> const& work,
                                       mirnet::ConvolutionPlan const& plan) noexcept {
      products_ += products_of(work, plan);
      return real_.convolution_work_tiles(work, plan);
    };
    table_.plan_gated_projection = [](mirnet::GatedProjection<T> const& work) noexcept {
      products_ += product(work.pixels, 2 * work.channels, work.pitch);
      return real_.plan_gated_projection(work);
    };
    table_.plan_blurred_projection = [](mirnet::BlurredProjection<T> const& work) noexcept {
      auto const& blur = work.blur[0];
      products_ += product(blur.height / 2 * (blur.width / 2), work.branches * work.channels,
                           work.output_lines * mirnet::channels_per_line<T>);
      return real_.plan_blurred_projection(work);
    };
  }
  CountedKernels(CountedKernels const&) = delete;
  CountedKernels& operator=(CountedKernels const&) = delete;

  mirnet::KernelTable<T> const& table() const noexcept { return table_; }

  /// Of all matrix products since this table was made. The rest, of which the gate of the spatial attention is the most
  /// with 50 products a pixel, is not counted.
  static double products() noexcept { return products_; }

 private:
  using Index = mirnet::Index;

  static double product(Index a, Index b, Index c) noexcept {
    return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
  }

  static double products_of(mirnet::Convolution<T> const& work, mirnet::ConvolutionPlan const& plan) noexcept {
    Index const columns = work.output_lines * mirnet::channels_per_line<T>;
    if (plan.tile_products == 0) return product(work.output_height * work.output_width, work.depth(), columns);
    Index const tiles =
        mirnet::divide_up(work.output_height, plan.tile_height) * mirnet::divide_up(work.output_width, plan.tile_width);
    return product(tiles, plan.tile_products, 1);
  }

  static inline mirnet::KernelTable<T> real_;
  static inline double products_;
  mirnet::KernelTable<T> table_;
};

}  // namespace measure
