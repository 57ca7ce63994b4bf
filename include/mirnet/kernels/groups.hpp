// A convolution's groups as matrix products: each product takes some of the channels in A's rows to some columns of the
// sums, whole lines of them. Groups need not have whole lines of channels, so the products of a point are
//
//   by group    a group's channels to its columns, from wherever the group begins. Where its last line reaches into the
//               next group, that group's product writes it once more: products go from the first to the last.
//   by line     the channels of all groups that a line of columns belongs to, to this line: weights between channels of
//               different groups are zero.
//
// Whichever takes less time is taken: by line, where few lines belong to two groups, and where several groups share a
// line.
#pragma once

#include <algorithm>

#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/pairs.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

template <class T>
class GroupProducts {
 public:
  static constexpr Index line = channels_per_line<float>;

  explicit constexpr GroupProducts(Convolution<T> const& work, bool may_go_by_line = true) noexcept
      : inputs_(work.group_channels()),
        columns_(work.output_lines * channels_per_line<T>),
        outputs_(work.groups == 1 ? columns_ : work.output_channels / work.groups),
        end_(work.groups == 1 ? columns_ : work.output_channels),
        count_(work.groups),
        lines_(divide_up(outputs_, line)) {
    if (work.groups == 1) return;
    // What a line of columns costs besides its products, in units of one step of the depth: measured on Zen 5.
    constexpr Index aligned = 10, unaligned = 16;
    Index by_group = 0, by_line = 0;
    for (Index i = 0; i < count_; ++i) by_group += product(i).lines * (product(i).operands + unaligned);
    for (Index l = 0; l < columns_ / line; ++l) by_line += operands_of(first_group(l), last_group(l)) + aligned;
    if (!may_go_by_line || by_group <= by_line) return;
    by_line_ = true;
    lines_ = 1;
    count_ = columns_ / line;
  }

  struct Product {
    Index first_column, lines;      ///< of the sums
    Index first_operand, operands;  ///< of A's rows
  };

  constexpr Index count() const noexcept { return count_; }
  constexpr Product product(Index i) const noexcept {
    if (by_line_) {
      Index const first = first_group(i);
      return {i * line, 1, first * inputs_ / numbers_an_operand<T>, operands_of(first, last_group(i))};
    }
    return {i * outputs_, lines_, i * inputs_ / numbers_an_operand<T>, operands_of(i, i)};
  }
  /// The product to which a line of the weights belongs; lines are numbered from the first product's to the last's.
  constexpr Index product_of(Index weight_line) const noexcept { return weight_line / lines_; }
  constexpr Index first_line(Index product) const noexcept { return product * lines_; }
  constexpr Index weight_lines() const noexcept { return count_ * lines_; }
  /// Numbers that a row of A is multiplied with, those of padding included.
  constexpr Index products() const noexcept {
    Index sum = 0;
    for (Index i = 0; i < count_; ++i) sum += product(i).operands * product(i).lines;
    return sum * numbers_an_operand<T> * line;
  }
  /// Room for the operands of any product.
  constexpr Index most_operands() const noexcept {
    Index most = 0;
    for (Index i = 0; i < count_; ++i) most = (std::max)(most, product(i).operands);
    return most;
  }
  /// From one row of the sums to the next.
  constexpr Index sum_columns() const noexcept { return round_up((std::max)(written(), columns_), line); }
  /// Fills the columns of a row of the sums that belong to no product.
  void clear_padding(float* sums) const noexcept {
    if (written() < columns_) std::fill(sums + written(), sums + columns_, 0.0f);
  }

  /// The first column of a line of the weights.
  constexpr Index column_of(Index weight_line) const noexcept {
    Index const i = product_of(weight_line);
    return product(i).first_column + (weight_line - first_line(i)) * line;
  }

  /// The weights of `lanes` output channels from `column` on, for an input channel, counted over all groups, and a tap;
  /// zero for those of other groups.
  simd::Pack weights(Convolution<T> const& work, Index column, Index channel, Index tap) const noexcept {
    T values[simd::lanes] = {};
    Index const group = channel / inputs_, k = tap * inputs_ + channel - group * inputs_;
    Index const end = (std::min)({column + simd::lanes, (group + 1) * outputs_, end_});
    for (Index o = (std::max)(column, group * outputs_); o < end;) {
      Index const here = (std::min)(end - o, packed_line<T> - o % packed_line<T>);
      std::copy_n(work.weights + packed_position<T>(work.depth(), o, k), here, values + (o - column));
      o += here;
    }
    return simd::load(values);
  }

 private:
  constexpr Index written() const noexcept { return product(count_ - 1).first_column + lines_ * line; }

  /// The groups of a line's first and last channel. A line of padding has none: the first is behind the last.
  constexpr Index first_group(Index l) const noexcept { return (std::min)(l * line, end_) / outputs_; }
  constexpr Index last_group(Index l) const noexcept { return ((std::min)((l + 1) * line, end_) - 1) / outputs_; }
  /// Where an operand is a pair, the first or the last may be half another group's, whose weights are zero.
  constexpr Index operands_of(Index first, Index last) const noexcept {
    return divide_up((last + 1) * inputs_, numbers_an_operand<T>) - first * inputs_ / numbers_an_operand<T>;
  }

  Index inputs_;                   // of a group
  Index columns_, outputs_, end_;  // of the output; of a group; of all groups
  Index count_, lines_;            // products, and the lines of each
  bool by_line_ = false;
};

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA
