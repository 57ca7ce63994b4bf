#include "kernel_tables.hpp"

#include <string_view>

#include <mirnet/kernels/eigen.hpp>
#include <mirnet/kernels/reference.hpp>

namespace test {

template <>
mirnet::KernelTable<float> const& plain_kernels() noexcept {
  return mirnet::reference_kernels<float>();
}
template <>
mirnet::KernelTable<double> const& plain_kernels() noexcept {
  return mirnet::reference_kernels<double>();
}
template <>
mirnet::KernelTable<float> const& eigen_kernels() noexcept {
  return mirnet::eigen_kernels<float>();
}
template <>
mirnet::KernelTable<double> const& eigen_kernels() noexcept {
  return mirnet::eigen_kernels<double>();
}

std::vector<mirnet::KernelTable<float> const*> const& kernel_tables() {
  static auto const tables = [] {
    std::vector<mirnet::KernelTable<float> const*> list;
    for (auto const& set : mirnet::kernel_sets()) {
      if (set.available() && set.has_own_float_kernels()) list.push_back(set.kernels());
    }
    // Where there is no SIMD, the plain kernels are those that are built in.
    if (list.empty() || std::string_view(list.back()->isa) != "scalar") list.push_back(&plain_kernels<float>());
    list.push_back(&eigen_kernels<float>());
    return list;
  }();
  return tables;
}

std::vector<Bfloat16Tables> const& bfloat16_tables() {
  static auto const tables = [] {
    std::vector<Bfloat16Tables> list;
    for (auto const& set : mirnet::kernel_sets()) {
      if (set.available() && set.bfloat16_kernels != nullptr) list.push_back({set.kernels(), set.bfloat16_kernels()});
    }
    return list;
  }();
  return tables;
}

}  // namespace test
