// Writes maps to streams of the standard library, in the format of print (ops/print.hpp). ops/ops.hpp does not include
// this header, as firmware does without streams.
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
