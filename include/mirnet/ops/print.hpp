// Prints maps for people to read: a line for each pixel, or for each row if there is one channel. The middle of large
// maps is left out.
#pragma once

#include <cstdio>

#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

inline constexpr Index printed_at_most = 8;  // rows, columns and channels; of more, the first and last three

/// Calls body(i) for i in [0, count), and skipped() in the place of those that are left out.
template <class Body, class Skipped>
void each_printed(Index count, Body&& body, Skipped&& skipped) {
  constexpr Index ends = 3;
  bool const all = count <= printed_at_most;
  for (Index i = 0; i < count; ++i) {
    if (!all && i == ends) {
      skipped();
      i = count - ends;
    }
    body(i);
  }
}

/// Calls write(text) with the text, piece by piece.
template <class T, class Write>
void print_map(View<T> map, Write&& write) {
  char text[96];
  std::snprintf(text, sizeof text, "height %lld, width %lld, channels %lld\n", static_cast<long long>(map.height()),
                static_cast<long long>(map.width()), static_cast<long long>(map.channels()));
  write(text);
  auto const dots = [&] { write("        ..."); };
  auto const line_of_dots = [&] { write("...\n"); };
  auto const number = [&](T const& value) {
    std::snprintf(text, sizeof text, " %10.5g", static_cast<double>(value));
    write(text);
  };
  bool const plane = map.channels() == 1;
  each_printed(
      map.height(),
      [&](Index y) {
        if (plane) {
          std::snprintf(text, sizeof text, "(%lld, *)", static_cast<long long>(y));
          write(text);
          each_printed(
              map.width(), [&](Index x) { number(map(y, x, 0)); }, dots);
          return write("\n");
        }
        each_printed(
            map.width(),
            [&](Index x) {
              std::snprintf(text, sizeof text, "(%lld, %lld)", static_cast<long long>(y), static_cast<long long>(x));
              write(text);
              each_printed(
                  map.channels(), [&](Index c) { number(map(y, x, c)); }, dots);
              write("\n");
            },
            line_of_dots);
      },
      line_of_dots);
}

}  // namespace detail

/// The shape, then "(y, x)" and the channels of each pixel, or "(y, *)" and the pixels of each row where there is one
/// channel; five digits of each number. Of more than eight rows, columns or channels there are "..." and the first and
/// last three. std::ferror tells whether writing failed.
template <class T>
void print(View<T> map, std::FILE* stream = stdout) noexcept {
  detail::print_map(map, [&](char const* text) { std::fputs(text, stream); });
}

}  // namespace mirnet::inline MIRNET_ABI
