// Some rows of a map, as they are while a network works in bands.
#pragma once

#include <algorithm>
#include <limits>

#include "support/buffer.hpp"

namespace test {

/// Rows [first, first + count) of a map in memory of their own, between rows of NaN: what a kernel reads of other rows
/// shows in its results. `map` has `row` elements from row to row.
template <class T>
class RowsCopy {
 public:
  RowsCopy(T const* map, Index row, Index first, Index count)
      : row_(row), memory_((count + 2) * row, std::numeric_limits<T>::quiet_NaN()) {
    std::copy_n(map + first * row, count * row, memory_.data() + row);
  }

  T const* data() const noexcept { return memory_.data() + row_; }

 private:
  Index row_;
  Buffer<T> memory_;
};

}  // namespace test
