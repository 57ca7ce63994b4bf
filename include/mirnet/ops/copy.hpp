// fill, copy, concat and split, for maps of any type and views of any kind. They do not touch padding. Sources do not
// overlap destinations.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <tuple>

#include <mirnet/ops/operands.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA {

/// Sets all channels of all pixels to `value`.
template <class T>
void fill(View<T> to, std::type_identity_t<Accumulator<std::remove_const_t<T>>> value) noexcept {
  ops_detail::check_types<T>();
  T const stored = static_cast<T>(value);
  ops_detail::each_run([&](Index count, T* run) MIRNET_INLINE_LAMBDA { std::fill_n(run, count, stored); }, to);
}

/// Copies any view to any view of the same shape and type, for instance a crop to a map that layers take. Errors:
/// invalid_argument, where the shapes differ.
template <class From, class To>
Result<void> copy(View<From> from, View<To> to) noexcept {
  ops_detail::check_types<To, From>();
  auto const checked = ops_detail::check_same("copy", from.shape(), to.shape());
  if (!checked) return checked;
  ops_detail::each_run(
      [](Index count, From* run, To* into)
          MIRNET_INLINE_LAMBDA { std::memmove(into, run, static_cast<std::size_t>(count) * sizeof(To)); },
      from, to);
  return {};
}

/// Concatenates along the channels: `to` has the height and width of each part and the channels of all parts together.
/// Errors: invalid_argument, where it has another shape.
template <class T>
Result<void> concat(std::span<View<std::type_identity_t<T> const> const> parts, View<T> to) noexcept {
  ops_detail::check_types<T>();
  Shape together = to.shape();
  together.channels = 0;
  for (auto const& part : parts) {
    if (part.height() != to.height() || part.width() != to.width()) {
      return ops_detail::mismatch("concat", "part", part.shape(), "destination", to.shape(), "as many pixels");
    }
    together.channels += part.channels();
  }
  if (together != to.shape()) {
    return ops_detail::mismatch("concat", "sum of the parts", together, "destination", to.shape(), "as many channels");
  }
  Index first = 0;
  for (auto const& part : parts) {
    if (auto const copied = copy(part, ops_detail::channels_of(to, first, part.channels())); !copied) return copied;
    first += part.channels();
  }
  return {};
}

/// concat(a, b, ..., to): the last map is the destination.
template <class... T>
Result<void> concat(View<T>... maps) noexcept {
  static_assert(sizeof...(T) >= 2, "concat takes the parts and then the destination");
  auto const to = std::get<sizeof...(T) - 1>(std::tuple(maps...));
  using To = std::remove_pointer_t<decltype(to.data())>;
  ops_detail::check_types<To, T...>();
  View<std::remove_const_t<To> const> const all[] = {maps...};
  return concat<To>(std::span(all, sizeof...(T) - 1), to);
}

/// The reverse: split(from, a, b, ...) copies the first channels to a, the next to b, and so on. Errors:
/// invalid_argument, where a part has another height or width than `from`, or the parts together have another number of
/// channels.
template <class From, class... To>
Result<void> split(View<From> from, View<To>... parts) noexcept {
  static_assert(sizeof...(To) >= 1, "split takes the source and then the parts");
  (ops_detail::check_types<To, From>(), ...);
  Shape together = from.shape();
  together.channels = 0;
  Shape const shapes[] = {parts.shape()...};
  for (Shape const& part : shapes) {
    if (part.height != from.height() || part.width != from.width()) {
      return ops_detail::mismatch("split", "source", from.shape(), "part", part, "as many pixels");
    }
    together.channels += part.channels;
  }
  if (together != from.shape()) {
    return ops_detail::mismatch("split", "source", from.shape(), "sum of the parts", together, "as many channels");
  }
  Index first = 0;
  Result<void> done;
  auto const one = [&](auto part) {
    if (done) done = copy(ops_detail::channels_of(from, first, part.channels()), part);
    first += part.channels();
  };
  (one(parts), ...);
  return done;
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA
