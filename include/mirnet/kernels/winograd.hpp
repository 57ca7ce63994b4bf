// Convolutions with fewer multiplications: tiles of the input are transformed, multiplied with transformed weights by
// one matrix product a point, and transformed back (winograd_axis.hpp has the transforms, section by section).
//
// A work tile is a few tiles: the data between the two transforms, `points` matrices of [tiles x channels] before and
// after the products, stays in the second-level cache. Every panel of the weights is read once per work tile.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <mirnet/kernels/gemm.hpp>
#include <mirnet/kernels/groups.hpp>
#include <mirnet/kernels/reduction.hpp>
#include <mirnet/kernels/winograd_axis.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::winograd {

// Loops that are to stay loops.
#define MIRNET_ROLLED _Pragma("GCC unroll 1")

/// Stride 1, a kernel of AxisY::taps x AxisX::taps, any padding; maps and weights of T, between the transforms operands
/// (simd/pairs.hpp) and sums in float.
template <class T, class AxisY, class AxisX>
struct Tiles {
  static constexpr char const* name(Convolution<T> const&) noexcept {
    return points_y == 1      ? "toom-cook F(1x4,1x2)"
           : points_x == 1    ? "toom-cook F(4x1,2x1)"
           : AxisY::taps == 2 ? "toom-cook F(4x4,2x2)"
                              : "winograd F(4x4,3x3)";
  }
  static constexpr Index tile_height = AxisY::outputs, tile_width = AxisX::outputs;
  static constexpr Index tile_products(Convolution<T> const& work) noexcept {
    return points * GroupProducts<T>(work).products();
  }

  using Element = Operand<T>;
  using Number = OperandNumber<T>;
  static constexpr int points_y = AxisY::points, points_x = AxisX::points, points = points_y * points_x;
  static constexpr Index line = channels_per_line<float>;
  /// Output columns that are multiplied and transformed back at a time: where there are several groups, whose columns
  /// are not whole lines, all of them.
  static constexpr Index most_columns = 64;
  static constexpr Index columns_at_a_time(Convolution<T> const& work) noexcept {
    return work.groups == 1 ? most_columns : GroupProducts<T>(work).sum_columns();
  }

  // Matrices lie a line further apart than they are long: with a distance of a multiple of 4 KiB, one tile's elements
  // of all of them would compete for the same few lines of the first-level cache.
  static constexpr Index input_pitch(Index channels) noexcept { return round_up(operands<T>(channels), line); }
  static constexpr Index input_step(Index channels, Index tiles) noexcept {
    return tiles * input_pitch(channels) + line;
  }
  static constexpr Index output_step(Convolution<T> const& work, Index tiles) noexcept {
    return tiles * columns_at_a_time(work) + line;
  }
  /// Of a tile's pixels where they are gathered: numbers of T, which take the memory of as many floats at most.
  static constexpr Index patch_pitch(Index channels) noexcept { return round_up(channels, channels_per_line<T>); }

  /// The most tiles in a work tile: a multiple of every tile height of the GEMM, and few, so that many workers can
  /// share a band.
  static constexpr Index most_tiles(Convolution<T> const& work) noexcept {
    // With many channels the weights come from a slower cache or from memory; larger work tiles read them less often.
    if (work.group_channels() >= 256) return 48;
    constexpr Index bytes = Index{160} * 1024;
    Index const tile =
        points * (input_pitch(work.channels) + columns_at_a_time(work)) * static_cast<Index>(sizeof(float));
    return std::clamp<Index>(bytes / tile / 12, 1, 8) * 12;
  }

  /// Whether this computes a convolution, and faster than the definition: with fewer tiles, transforming the weights
  /// costs more than it saves; with fewer channels, transforming the tiles.
  static constexpr bool suits(Convolution<T> const& work) noexcept {
    constexpr Index fewest_tiles = 16;
    Index const fewest_channels = work.groups == 1 ? 8 : 4;
    return work.kernel_height == AxisY::taps && work.kernel_width == AxisX::taps && work.stride == 1 &&
           work.dilation == 1 && work.group_channels() >= fewest_channels &&
           work.output_height * work.output_width >= fewest_tiles * AxisY::outputs * AxisX::outputs;
  }

  // --- Weights: `points` matrices, each packed as a 1x1 kernel's, with the groups one behind the other ------------

  static constexpr Index columns(Convolution<T> const& work) noexcept {
    return work.output_lines * channels_per_line<T>;
  }
  /// Lines of 16 columns (GroupProducts).
  static constexpr Index weight_lines(Convolution<T> const& work) noexcept {
    return GroupProducts<T>(work).weight_lines();
  }
  static constexpr Index matrix_elements(GroupProducts<T> const& products) noexcept {
    return products.most_operands() * products.weight_lines() * line;
  }
  static constexpr Index weights_elements(Convolution<T> const& work) noexcept {
    return points * matrix_elements(GroupProducts<T>(work));
  }

  /// The weights of one line.
  static void transform_weights(Convolution<T> const& work, Index item, Element* prepared) noexcept {
    using namespace simd;
    GroupProducts<T> const products(work);
    auto const product = products.product(products.product_of(item));
    Index const matrix = matrix_elements(products), first = product.first_operand * numbers_an_operand<T>;
    Element* const to = prepared + item * products.most_operands() * line;
    for (Index step = 0; step < product.operands; ++step) {
      for (Index column = 0; column < line; column += lanes) {
        Element* const at = to + step * line + column;
        auto const transform = [&](Index number, Pack* point) {
          Index const channel = first + step * numbers_an_operand<T> + number;
          if (channel < work.channels) return transform_kernel(work, products, item, channel, column, point);
          for (int p = 0; p < points; ++p) point[p] = broadcast(0.0f);
        };
        if constexpr (std::is_same_v<Element, float>) {
          Pack point[points];
          transform(0, point);
          for (int p = 0; p < points; ++p) store(at + p * matrix, point[p]);
        } else {
          Pack even[points], odd[points];
          transform(0, even);
          transform(1, odd);
          for (int p = 0; p < points; ++p) store_row(at + p * matrix, even[p], odd[p]);
        }
      }
    }
  }

  // --- Tiles ------------------------------------------------------------------------------------------------------

  static constexpr Index tiles_x(Convolution<T> const& work) noexcept {
    return divide_up(work.output_width, AxisX::outputs);
  }
  static constexpr Index tile_count(Convolution<T> const& work) noexcept {
    return divide_up(work.output_height, AxisY::outputs) * tiles_x(work);
  }
  /// If there are few work tiles, they are as equal as possible and a multiple of four in number, so that two or four
  /// workers finish together.
  static constexpr Index tiles_a_work_tile(Convolution<T> const& work) noexcept {
    Index const tiles = tile_count(work), most = most_tiles(work), count = divide_up(tiles, most);
    return count > 1 && count < 16 ? divide_up(tiles, round_up(count, 4)) : most;
  }
  static constexpr Index work_tiles(Convolution<T> const& work) noexcept {
    return divide_up(tile_count(work), tiles_a_work_tile(work));
  }
  static constexpr Index scratch_elements(Convolution<T> const& work) noexcept {
    Index const tiles = most_tiles(work);
    return points * (input_step(work.channels, tiles) + output_step(work, tiles) + patch_pitch(work.channels));
  }

  /// Output row (of the part) and column of a tile's first pixel.
  struct Place {
    Index y, x;
  };
  static Place place(Convolution<T> const& work, Index tile) noexcept {
    Index const across = tiles_x(work);
    return {tile / across * AxisY::outputs, tile % across * AxisX::outputs};
  }

  /// body(y, x, pixels) for the runs of output pixels of a work tile.
  template <class Body>
  static void each_run(Convolution<T> const& work, Index index, Body&& body) noexcept {
    Index const first = index * tiles_a_work_tile(work),
                last = (std::min)(first + tiles_a_work_tile(work), tile_count(work));
    for (Index tile = first; tile < last;) {
      Place const at = place(work, tile);
      Index const run = (std::min)(last - tile, tiles_x(work) - tile % tiles_x(work));
      Index const pixels = (std::min)(run * AxisX::outputs, work.output_width - at.x);
      Index const last_row = std::min<Index>(at.y + AxisY::outputs, work.output_height);
      for (Index y = at.y; y < last_row; ++y) body(y, at.x, pixels);
      tile += run;
    }
  }

  static void compute(Convolution<T> const& work, Element const* weights, Index index, float* scratch) noexcept {
    GroupProducts<T> const products(work);
    Index const whole = tiles_a_work_tile(work), first = index * whole, at_a_time = columns_at_a_time(work);
    Index const tiles = (std::min)(whole, tile_count(work) - first);
    Index const steps = products.most_operands(), matrix = matrix_elements(products);
    Index const from_step = input_step(work.channels, whole), to_step = output_step(work, whole);
    auto* const from = reinterpret_cast<Element*>(scratch);
    float* const to = scratch + points * from_step;
    float* const patch = to + points * to_step;

    for (Index tile = 0; tile < tiles; ++tile) {
      transform_input(work, place(work, first + tile), from + tile * input_pitch(work.channels), from_step, patch);
    }
    for (Index column = 0; column < columns(work); column += at_a_time) {
      Index const some_columns = (std::min)(at_a_time, columns(work) - column);
      bool const last_columns = column + some_columns == columns(work);
      for (int point = 0; point < points; ++point) {
        Gemm<float, Element> product{.a = from + point * from_step,
                                     .a_pitch = input_pitch(work.channels),
                                     .rows = tiles,
                                     .depth = steps,
                                     .b = weights + point * matrix + column * steps,
                                     .b_line_stride = steps * line,
                                     .lines = some_columns / line,
                                     .sum = to + point * to_step,
                                     .sum_pitch = at_a_time};
        if (last_columns) look_ahead(work, first + tiles, point, product);
        work.groups == 1 ? gemm(product) : multiply_groups(products, product);
      }
      for (Index tile = 0; tile < tiles; ++tile) {
        transform_output(work, place(work, first + tile), column, some_columns, to + tile * at_a_time, to_step);
      }
    }
  }

 private:
  /// Of the kernel of one input channel, `lanes` output channels of a line from `column` on.
  static MIRNET_ALWAYS_INLINE void transform_kernel(Convolution<T> const& work, GroupProducts<T> const& products,
                                                    Index item, Index channel, Index column, simd::Pack* to) noexcept {
    using namespace simd;
    constexpr int taps_y = AxisY::taps, taps_x = AxisX::taps;
    constexpr Index wide = packed_line<T>;
    Index const tap_step = work.channels * wide;
    T const* const from =
        work.weights + item * line / wide * taps_y * taps_x * tap_step + item * line % wide + channel * wide + column;
    auto const weight = [&](Index tap) {
      return work.groups == 1 ? load(from + tap * tap_step)
                              : products.weights(work, products.column_of(item) + column, channel, tap);
    };
    Pack halves[taps_x][points_y];
    for (int x = 0; x < taps_x; ++x) {
      Pack tap[taps_y];
      for (int y = 0; y < taps_y; ++y) tap[y] = weight(y * taps_x + x);
      AxisY::weights(tap, halves[x]);
    }
    for (int y = 0; y < points_y; ++y) {
      Pack tap[taps_x];
      for (int x = 0; x < taps_x; ++x) tap[x] = halves[x][y];
      AxisX::weights(tap, to + Index{y} * points_x);
    }
  }

  /// The products of one point.
  static void multiply_groups(GroupProducts<T> const& products, Gemm<float, Element> const& point) noexcept {
    Gemm<float, Element> product = point;
    for (Index i = 0; i < products.count(); ++i) {
      auto const part = products.product(i);
      product.a = point.a + part.first_operand;
      product.depth = part.operands;
      product.b = point.b + products.first_line(i) * point.b_line_stride;
      product.lines = part.lines;
      product.sum = point.sum + part.first_column;
      gemm(product);
      product.ahead_lines = 0;
    }
    for (Index row = 0; row < point.rows; ++row) products.clear_padding(point.sum + row * point.sum_pitch);
  }

  /// Behind the last row of the input that the part's own rows see. A last tile may go beyond it, to rows that the
  /// caller does not have.
  static Index end_row(Convolution<T> const& work) noexcept {
    return (std::min)(work.first_row + work.output_height - 1 - work.pad_top + AxisY::taps, work.height);
  }

  /// While the products leave the memory idle, fetches the input of the next work tile into the second-level cache: one
  /// part for each point, from the row of the tiles on which the point lies.
  static void look_ahead(Convolution<T> const& work, Index next_tile, int point,
                         Gemm<float, Element>& product) noexcept {
    product.ahead_lines = 0;
    if (next_tile >= tile_count(work)) return;
    Place const at = place(work, next_tile);
    Index const y = work.first_row + at.y - work.pad_top + point / points_x;
    if (y < 0 || y >= end_row(work)) return;
    Index const pixels =
        (std::min)(tiles_a_work_tile(work) * AxisX::outputs + points_x - AxisX::outputs, work.width - at.x);
    T const* const row = work.input + ((y - work.input_first_row) * work.width + at.x) * work.input_pitch;
    Index const lines = pixels * work.input_pitch * static_cast<Index>(sizeof(T)) / alignment_bytes;
    Index const part = point % points_x, first = lines * part / points_x, last = lines * (part + 1) / points_x;
    product.ahead = reinterpret_cast<std::byte const*>(row) + first * alignment_bytes;
    product.ahead_lines = last - first;
  }

  /// One line of each pixel of `rows` rows, AxisX::outputs wide: those to the right of a tile, which the next one
  /// needs. Addresses are numbers, as that may lie outside of the map.
  template <class Prefetch>
  static MIRNET_ALWAYS_INLINE void for_next_tile(T const* first, int rows, Index row_step, Index pixel_step,
                                                 Prefetch&& prefetch) noexcept {
    constexpr Index element = static_cast<Index>(sizeof(T));
    auto row = reinterpret_cast<std::intptr_t>(first);
    MIRNET_ROLLED for (int y = 0; y < rows; ++y, row += row_step * element) {
      for (int x = 0; x < AxisX::outputs; ++x) prefetch(reinterpret_cast<void const*>(row + x * pixel_step * element));
    }
  }

  /// One tile of all channels. Where it leaves the rows or the map, its pixels are first gathered in `patch`, with
  /// zeros.
  static void transform_input(Convolution<T> const& work, Place at, Element* to, Index to_element_step,
                              float* patch) noexcept {
    using namespace simd;
    Index const to_step = to_element_step * numbers_an_operand<T>;
    Index const top = work.first_row + at.y - work.pad_top, left = at.x - work.pad_left;
    T const* from;
    Index row_step, pixel_step;
    if (top >= 0 && top + points_y <= end_row(work) && left >= 0 && left + points_x <= work.width) {
      pixel_step = work.input_pitch;
      row_step = work.width * pixel_step;
      from = work.input + (top - work.input_first_row) * row_step + left * pixel_step;
    } else {
      T* const gathered = reinterpret_cast<T*>(patch);
      gather(work, top, left, gathered);
      pixel_step = patch_pitch(work.channels);
      row_step = points_x * pixel_step;
      from = gathered;
    }
    // One row and one column at a time: with both loops unrolled, compilers keep 72 addresses in memory.
    for (Index c = 0; c < work.channels; c += lanes) {
      T const* row = from + c;
      Number* column = reinterpret_cast<Number*>(to) + c;
      if (c % line == 0) for_next_tile(row + points_x * pixel_step, points_y, row_step, pixel_step, prefetch);
      if constexpr (points_y == 1) {
        Pack pixel[points_x], point[points_x];
        for (int x = 0; x < points_x; ++x) pixel[x] = load(row + x * pixel_step);
        AxisX::input(pixel, point);
        for (int x = 0; x < points_x; ++x) store_operands(column + x * to_step, point[x]);
      } else if constexpr (points_x == 1) {
        Pack pixel[points_y], point[points_y];
        for (int y = 0; y < points_y; ++y) pixel[y] = load(row + y * row_step);
        AxisY::input(pixel, point);
        for (int y = 0; y < points_y; ++y) store_operands(column + y * to_step, point[y]);
      } else {
        Pack rows[points_x][points_y];
        MIRNET_ROLLED for (int y = 0; y < points_y; ++y, row += row_step) {
          Pack pixel[points_x], point[points_x];
          for (int x = 0; x < points_x; ++x) pixel[x] = load(row + x * pixel_step);
          AxisX::input(pixel, point);
          for (int x = 0; x < points_x; ++x) rows[x][y] = point[x];
        }
        MIRNET_ROLLED for (int x = 0; x < points_x; ++x, column += to_step) {
          Pack point[points_y];
          AxisY::input(rows[x], point);
          for (int y = 0; y < points_y; ++y) store_operands(column + Index{y} * points_x * to_step, point[y]);
        }
      }
    }
  }

  static void gather(Convolution<T> const& work, Index top, Index left, T* patch) noexcept {
    Index const pitch = patch_pitch(work.channels);
    std::size_t const bytes = static_cast<std::size_t>(pitch) * sizeof(T);
    // The last tile may extend beyond what the part's own rows and columns see, where nothing may be read.
    Index const end_y = work.first_row + work.output_height - work.pad_top - 1 + AxisY::taps;
    Index const end_x = work.output_width - work.pad_left - 1 + AxisX::taps;
    for (Index point_y = top; point_y < top + points_y; ++point_y) {
      Index const y = point_y < end_y ? padded_index(work.padding_mode, point_y, work.height) : -1;
      for (Index point_x = left; point_x < left + points_x; ++point_x, patch += pitch) {
        Index const x = point_x < end_x ? padded_index(work.padding_mode, point_x, work.width) : -1;
        if (y >= 0 && x >= 0) {
          std::memcpy(patch, work.input + ((y - work.input_first_row) * work.width + x) * work.input_pitch, bytes);
        } else {
          std::fill_n(patch, pitch, T(0));
        }
      }
    }
  }

  /// `columns` output channels of one tile, from `column` on.
  static void transform_output(Convolution<T> const& work, Place at, Index column, Index columns, float const* from,
                               Index from_step) noexcept {
    Index const rows = std::min<Index>(AxisY::outputs, work.output_height - at.y);
    Index const pixels = std::min<Index>(AxisX::outputs, work.output_width - at.x);
    Index const offset = at.y * work.output_row_step + at.x * work.output_pixel_step + column;
    bool const whole = rows == AxisY::outputs && pixels == AxisX::outputs;
    constexpr bool in_pairs = AxisX::outputs % 2 == 0;
    auto const transform = [&](auto is_whole, auto has_residual) {
      using namespace simd;
      Pack slope = broadcast(work.slope), scale = broadcast(1.0f);
      Index const row_step = work.output_row_step, pixel_step = work.output_pixel_step;
      for (Index c = 0; c < columns; c += lanes) {
        if (is_whole && c % line == 0) {
          for_next_tile(work.output + offset + c + AxisX::outputs * pixel_step, AxisY::outputs, row_step, pixel_step,
                        prefetch_to_write);
        }
        Pack half[AxisY::outputs][points_x];
        float const* point_column = from + c;
        MIRNET_ROLLED for (int x = 0; x < points_x; ++x, point_column += from_step) {
          Pack point[points_y], result[AxisY::outputs];
          for (int y = 0; y < points_y; ++y) point[y] = load(point_column + Index{y} * points_x * from_step);
          AxisY::output(point, result);
          for (int y = 0; y < AxisY::outputs; ++y) half[y][x] = result[y];
        }
        if (work.slopes != nullptr) slope = load(work.slopes + column + c);
        if (work.scales != nullptr) scale = load(work.scales + column + c);
        T const* const bias = work.bias == nullptr ? nullptr : work.bias + column + c;
        T* out = work.output + offset + c;
        T const* added = has_residual ? work.residual + offset + c : nullptr;
        Index const end = is_whole ? AxisY::outputs : rows;
        MIRNET_ROLLED for (int y = 0; y < end; ++y) {
          Pack result[AxisX::outputs];
          AxisX::output(half[y], result);
          if (bias != nullptr) {
            Pack const added_bias = load(bias);
            for (int x = 0; x < AxisX::outputs; ++x) result[x] = result[x] + added_bias;
          }
          for (int x = 0; x < AxisX::outputs; ++x) {
            if (!is_whole && x >= pixels) break;
            result[x] = prelu(result[x], slope);
            if (work.scales != nullptr) result[x] = result[x] * scale;
            if (has_residual) {
              Pack const residual = load(added + x * pixel_step);
              result[x] = work.subtracts ? residual - result[x] : result[x] + residual;
            }
            if (!is_whole || !in_pairs) store(out + x * pixel_step, result[x]);
          }
          for (int x = 0; is_whole && in_pairs && x < AxisX::outputs; x += 2) {
            store_two(out + x * pixel_step, result[x], out + (x + 1) * pixel_step, result[x + 1]);
          }
          out += row_step;
          if (has_residual) added += row_step;
        }
      }
    };
    constexpr std::true_type yes;
    constexpr std::false_type no;
    if (work.residual == nullptr) {
      whole ? transform(yes, no) : transform(no, no);
    } else {
      whole ? transform(yes, yes) : transform(no, yes);
    }
  }
};

#undef MIRNET_ROLLED

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::winograd
