// All headers in one translation unit (all_headers.inc includes each, twice over), with their templates instantiated so
// that the warnings see the bodies. With MIRNET_TEST_MACROS, in an application whose own macros are called min and max,
// as those of <windows.h> are.
#if defined(MIRNET_TEST_MACROS)
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>
#include <concepts>
#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <Eigen/Core>
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#endif

#include "all_headers.inc"

template class mirnet::Model<mirnet::Mirnet<float>>;
template class mirnet::Model<mirnet::Mirnet<mirnet::bfloat16>>;
template class mirnet::Model<mirnet::Mirnet<double>>;
template class mirnet::Model<mirnet::MirnetV2<float>>;
template class mirnet::Model<mirnet::MirnetV2<mirnet::bfloat16>>;
template class mirnet::Model<mirnet::MirnetV2<double>>;
template class mirnet::Tensor<float>;

// Of each table, what it points to.
void const* all_headers_tables[] = {
    &mirnet::native_kernels<float>(),
#if !MIRNET_NO_SIMD
    &mirnet::native_kernels<mirnet::bfloat16>(),
#endif
    &mirnet::reference_kernels<float>(),
    &mirnet::eigen_kernels<double>(),
};

// The operations on maps, which are templates.
template <class T>
mirnet::Result<void> all_headers_operations(mirnet::View<T const> a, mirnet::View<T> b, mirnet::View<T> c) {
  mirnet::fill(b, 1);
  mirnet::print(a);
  mirnet::Result<void> const results[] = {
      mirnet::copy(a, b),
      mirnet::convert(a, b),
      mirnet::concat(a, b, c),
      mirnet::split(a, b, c),
      mirnet::transform(a, b, [](auto x) { return x + x; }),
      mirnet::transform(a, b, c, mirnet::DividedBy{}),
      mirnet::transform(a, b, c, mirnet::Larger{}),
      mirnet::reduce(a, b, mirnet::Reduction::max),
      mirnet::matmul(a, b, c),
      mirnet::transpose(a, b),
      mirnet::all_close(a, b),
  };
  for (auto const& result : results) {
    if (!result) return result;
  }
  return {};
}
template mirnet::Result<void> all_headers_operations(mirnet::View<float const>, mirnet::View<float>,
                                                     mirnet::View<float>);
template mirnet::Result<void> all_headers_operations(mirnet::View<mirnet::bfloat16 const>,
                                                     mirnet::View<mirnet::bfloat16>, mirnet::View<mirnet::bfloat16>);
template mirnet::Result<void> all_headers_operations(mirnet::View<double const>, mirnet::View<double>,
                                                     mirnet::View<double>);

#if defined(MIRNET_TEST_MACROS) && !(defined(min) && defined(max))
#error "an application's macros are still its own after the headers"
#endif
