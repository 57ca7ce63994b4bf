// A feature map that somebody else owns, and the views of its parts: rows, rectangles, every n-th pixel, some of the
// channels. A view of a view is a view; nothing is copied.
//
// Every tensor is a map of height, width and channels, with the channels of a pixel side by side. A vector of C numbers
// is 1x1xC, a matrix of R rows and C columns is 1xRxC: R pixels of C channels. A batch is a loop over maps.
#pragma once

#include <type_traits>

#include <mirnet/config.hpp>
#include <mirnet/tensor/shape.hpp>

namespace mirnet::inline MIRNET_ABI {

/// p + n, and null for null: while a network is rehearsed without memory its maps have none.
template <class T>
constexpr T* advance(T* p, Index n) noexcept {
  return p == nullptr ? nullptr : p + n;
}

/// Element (y, x, c) is at data[y*row_pitch + x*pitch + c]. Channels from `channels` up to the end of their line
/// (channels_per_line) are padding where the pitch leaves room for them: kernels read them as zeros and keep them at
/// zero. Passed by value; View<T> converts to View<T const>.
template <class T>
class View {
 public:
  constexpr View() = default;
  constexpr View(T* data, Shape shape) noexcept
      : View(data, shape, pixel_pitch<std::remove_const_t<T>>(shape.channels)) {}
  /// Rows follow each other without gaps. (A map of no rows may be too wide to count.)
  constexpr View(T* data, Shape shape, Index pitch) noexcept
      : View(data, shape, pitch, shape.height > 0 ? shape.width * pitch : 0) {}
  /// Pixels do not overlap: the pitch is at least the number of channels, the row pitch at least width*pitch.
  constexpr View(T* data, Shape shape, Index pitch, Index row_pitch) noexcept
      : data_(data), shape_(shape), pitch_(pitch), row_pitch_(row_pitch) {
    MIRNET_ASSERT(pitch >= shape.channels && (shape.height <= 1 || row_pitch >= shape.width * pitch));
  }
  template <class U>
    requires std::is_same_v<U const, T>
  constexpr View(View<U> other) noexcept : View(other.data(), other.shape(), other.pitch(), other.row_pitch()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr Shape shape() const noexcept { return shape_; }
  constexpr Index height() const noexcept { return shape_.height; }
  constexpr Index width() const noexcept { return shape_.width; }
  constexpr Index channels() const noexcept { return shape_.channels; }
  constexpr Index pixels() const noexcept { return shape_.pixels(); }
  /// Elements from one pixel of a row to the next.
  constexpr Index pitch() const noexcept { return pitch_; }
  /// Elements from one row to the next.
  constexpr Index row_pitch() const noexcept { return row_pitch_; }
  /// Whether rows follow each other without gaps, so that pixel i of the map is at data + i*pitch. Kernels and layers
  /// read and write no other maps; mirnet::copy (ops/copy.hpp) makes one of any view.
  constexpr bool dense() const noexcept { return shape_.height <= 1 || row_pitch_ == shape_.width * pitch_; }

  constexpr T* row(Index y) const noexcept { return data_ + y * row_pitch_; }
  constexpr T* pixel(Index y, Index x) const noexcept { return data_ + y * row_pitch_ + x * pitch_; }
  constexpr T& operator()(Index y, Index x, Index c) const noexcept {
    MIRNET_ASSERT(y >= 0 && y < height() && x >= 0 && x < width() && c >= 0 && c < channels());
    return pixel(y, x)[c];
  }

 private:
  T* data_ = nullptr;
  Shape shape_{};
  Index pitch_ = 0, row_pitch_ = 0;
};

/// The rectangle of height x width pixels whose first one is (y, x). It lies within the map.
template <class T>
constexpr View<T> crop(View<T> map, Index y, Index x, Index height, Index width) noexcept {
  MIRNET_ASSERT(y >= 0 && height >= 0 && height <= map.height() && y <= map.height() - height);
  MIRNET_ASSERT(x >= 0 && width >= 0 && width <= map.width() && x <= map.width() - width);
  // After the last row there may be no memory, not even that of a gap.
  Index const first = height > 0 && width > 0 ? y * map.row_pitch() + x * map.pitch() : 0;
  return {advance(map.data(), first), {height, width, map.channels()}, map.pitch(), map.row_pitch()};
}

/// Rows [first, first + count) of a map.
template <class T>
constexpr View<T> rows(View<T> map, Index first, Index count) noexcept {
  return crop(map, first, 0, count, map.width());
}

/// Every n-th pixel in both directions: rows 0, n, 2n, ... and of these columns 0, n, 2n, ...; n is at least 1.
template <class T>
constexpr View<T> every(View<T> map, Index n) noexcept {
  MIRNET_ASSERT(n >= 1);
  Shape const shape{divide_up(map.height(), n), divide_up(map.width(), n), map.channels()};
  return {map.data(), shape, n * map.pitch(), n * map.row_pitch()};
}

/// Channels [first, first + count) of a map, for instance to let a layer write its part of what would otherwise be a
/// concatenation. Layers take slices of whole lines: `first` is a multiple of channels_per_line<T>, and so is
/// `count`, unless the slice goes to the map's last channel. (mirnet::split and mirnet::concat take any channels.)
template <class T>
constexpr View<T> channel_slice(View<T> map, Index first, Index count) noexcept {
  [[maybe_unused]] constexpr Index line = channels_per_line<std::remove_const_t<T>>;
  MIRNET_ASSERT(first >= 0 && count >= 0 && first + count <= map.channels() && first % line == 0);
  MIRNET_ASSERT(count % line == 0 || first + count == map.channels());
  return {advance(map.data(), first), {map.height(), map.width(), count}, map.pitch(), map.row_pitch()};
}

/// Parameters of functions whose T is the context's: maps, and views of other constness, convert to them.
template <class T>
using ViewOf = View<std::type_identity_t<T>>;

}  // namespace mirnet::inline MIRNET_ABI
