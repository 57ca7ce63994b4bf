// Maps to streams of the standard library, as print (ops/print.hpp) writes them. A header of its own, as firmware wants
// no streams: ops/ops.hpp does not include it.
#pragma once

#include <ostream>

#include <mirnet/ops/print.hpp>

namespace mirnet::inline MIRNET_ABI {

template <class T>
std::ostream& operator<<(std::ostream& stream, View<T> map) {
  detail::print_map(map, [&](char const* text) { stream << text; });
  return stream;
}

}  // namespace mirnet::inline MIRNET_ABI
