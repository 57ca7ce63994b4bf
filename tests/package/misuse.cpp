// Mistakes that do not compile, each beside correct code. test_misuse.py compiles this file once for each number, with
// MISUSE defined as the number, and looks for the regular expression after the number in the compiler's errors
// (compilers differ in their words). With 0, only the correct code is compiled.
#include <cstdint>
#include <memory>

#include <mirnet/ops/ops.hpp>
#include <mirnet/tensor/tensor.hpp>
#if MISUSE == 0 || (MISUSE >= 14 && MISUSE < 17)
#include <mirnet/interop/eigen.hpp>
#endif
#if MISUSE == 0 || MISUSE >= 17
#include <mirnet/mirnet.hpp>
#endif

using namespace mirnet;

// 1: read-only|cannot assign
void writes(View<float> map, [[maybe_unused]] View<float const> constant) {
#if MISUSE == 1
  constant(0, 0, 0) = 1.0f;
#endif
  map(0, 0, 0) = 1.0f;
}

// 2: the destination is a view of constants
void fills(View<float> map, [[maybe_unused]] View<float const> constant) {
#if MISUSE == 2
  fill(constant, 1.0f);
#endif
  fill(map, 1.0f);
}

// 3: the destination is a view of constants
// 4: the maps hold numbers of different types: mirnet::convert
Result<void> copies(View<float const> from, View<float> to, [[maybe_unused]] View<double> wide) {
#if MISUSE == 3
  return copy(to, from);
#elif MISUSE == 4
  return copy(from, wide);
#else
  if (auto const done = convert(from, wide); !done) return done;
  return copy(from, to);
#endif
}

// 5: the maps hold numbers of different types: mirnet::convert
// 6: the maps hold numbers of different types: mirnet::convert
// 7: concat takes the parts and then the destination
Result<void> joins(View<float const> a, [[maybe_unused]] View<bfloat16 const> b, View<float> to, View<float> part) {
#if MISUSE == 5
  return concat(a, b, to);
#elif MISUSE == 6
  return split(b, to, part);
#elif MISUSE == 7
  return concat(to);
#else
  if (auto const done = convert(b, part); !done) return done;
  if (auto const done = concat(a, part, to); !done) return done;
  return split(to, part);
#endif
}

// 8: the maps hold numbers of different types: mirnet::convert
// 9: there is arithmetic on maps of float, double and bfloat16
Result<void> computes([[maybe_unused]] View<double const> a, View<float const> b, View<float> to,
                      [[maybe_unused]] View<std::uint8_t> bytes) {
#if MISUSE == 8
  return transform(a, b, to, Plus{});
#elif MISUSE == 9
  return transform(bytes, bytes, [](auto x) { return x; });
#else
  return transform(b, b, to, Plus{});
#endif
}

// 10: the maps hold numbers of different types: mirnet::convert
// 11: convert: there are float, double, bfloat16
Result<void> others(View<float const> a, [[maybe_unused]] View<double const> b, View<float> to,
                    [[maybe_unused]] View<int> integers) {
#if MISUSE == 10
  return matmul(a, b, to);
#elif MISUSE == 11
  return convert(a, integers);
#else
  return matmul(a, a, to);
#endif
}

// 12: convert|conversion
View<float const> views(View<float const> constant) {
#if MISUSE == 12
  View<float> const open = constant;
  return open;
#else
  return constant;
#endif
}

// 13: a tensor holds plain numbers
auto tensors() {
#if MISUSE == 13
  return Tensor<std::unique_ptr<float>>();
#else
  return Tensor<float>();
#endif
}

#if MISUSE == 0 || (MISUSE >= 14 && MISUSE < 17)
// 14: from_eigen: a map has the channels of a pixel side by side
// 15: from_eigen: a temporary matrix would be gone
// 16: from_eigen: an expression has no memory
using ByRow = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
auto matrices([[maybe_unused]] Eigen::MatrixXf& by_column, ByRow& by_row) {
#if MISUSE == 14
  return from_eigen(by_column);
#elif MISUSE == 15
  return from_eigen(ByRow(by_row));
#elif MISUSE == 16
  return from_eigen(by_row + by_row);
#else
  return from_eigen(by_row);
#endif
}
#endif

#if MISUSE == 0 || MISUSE >= 17
// 17: a network has layers\(visit\)
// 18: a network has forward
// 19: Network|constraints not satisfied
// 20: native_kernels: without SIMD there are kernels of float only
template <class T>
struct Small : NetworkBase<Small<T>, T> {
  Conv2d<T> only{3, 3, 3};

#if MISUSE == 17
#else
  constexpr void layers(auto&& visit) { visit(only, "only"); }
#endif
#if MISUSE == 18
#else
  constexpr void forward(Context<T>& context, View<T const> x, View<T> y) const { only.forward(context, x, y); }
#endif
};

#if MISUSE == 19
using Net = Conv2d<float>;
#else
using Net = Small<float>;
#endif
Result<Index> sizes(Context<float> const& context, [[maybe_unused]] std::span<std::byte const> file) {
  auto const model = Model<Net>::load(file);
  if (!model) return model.error();
  auto const plan = model->plan(context, 4, 5);
  return plan ? Result<Index>(plan->bytes) : plan.error();
}

auto const& kernels() {
#if MISUSE == 20
  return native_kernels<double>();
#else
  return native_kernels<float>();
#endif
}
#endif
