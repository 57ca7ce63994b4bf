// A loop over the pixels of a map: for (auto pixel : pixels(view)) pixel.channels[0] = 1;
#pragma once

#include <cstddef>
#include <iterator>
#include <span>

#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// One pixel of a view: where it is, and its channels without padding.
template <class T>
struct MapPixel {
  Index y, x;
  std::span<T> channels;
};

/// What pixels() returns: a range of MapPixel, row by row.
template <class T>
class MapPixels {
 public:
  class Iterator {
   public:
    using value_type = MapPixel<T>;
    using difference_type = Index;
    using iterator_category = std::input_iterator_tag;  // operator* returns a temporary
    using pointer = void;
    using reference = value_type;

    constexpr Iterator() = default;
    constexpr Iterator(View<T> map, Index y) noexcept : map_(map), y_(y) {}

    constexpr value_type operator*() const noexcept {
      return {y_, x_, {map_.pixel(y_, x_), static_cast<std::size_t>(map_.channels())}};
    }
    constexpr Iterator& operator++() noexcept {
      if (++x_ == map_.width()) {
        x_ = 0;
        ++y_;
      }
      return *this;
    }
    constexpr Iterator operator++(int) noexcept {
      Iterator const before = *this;
      ++*this;
      return before;
    }
    /// For iterators of the same map.
    friend constexpr bool operator==(Iterator const& a, Iterator const& b) noexcept {
      return a.y_ == b.y_ && a.x_ == b.x_;
    }

   private:
    View<T> map_;
    Index y_ = 0, x_ = 0;
  };

  explicit constexpr MapPixels(View<T> map) noexcept : map_(map) {}
  constexpr Iterator begin() const noexcept { return {map_, map_.width() > 0 ? 0 : map_.height()}; }
  constexpr Iterator end() const noexcept { return {map_, map_.height()}; }

 private:
  View<T> map_;
};

/// The pixels of a view of any kind, from the first row to the last. Valid as long as the view's memory is.
template <class T>
constexpr MapPixels<T> pixels(View<T> map) noexcept {
  return MapPixels<T>(map);
}

}  // namespace mirnet::inline MIRNET_ABI
