// The kernel tables that tests go through: every instruction set that is built in and that the machine has, the plain
// kernels, and Eigen's. The last two are compiled in kernel_tables.cpp alone.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/kernels/table.hpp>

#if defined(MIRNET_HAS_EMULATED)
// Computes what AVX512_BF16 does, for tests on machines without it.
namespace mirnet::inline MIRNET_ABI::linked {
KernelTable<bfloat16> const* bfloat16_kernels_emulated() noexcept;
}
#endif

namespace test {

/// mirnet::reference_kernels and mirnet::eigen_kernels, of float and double.
template <class T>
mirnet::KernelTable<T> const& plain_kernels() noexcept;
template <class T>
mirnet::KernelTable<T> const& eigen_kernels() noexcept;

/// Those of float, the fastest first.
std::vector<mirnet::KernelTable<float> const*> const& kernel_tables();

/// A set's kernels of bfloat16, with those of float.
struct Bfloat16Tables {
  mirnet::KernelTable<float> const* floats;
  mirnet::KernelTable<mirnet::bfloat16> const* halves;
};

/// Those of the sets that are available and have them, the fastest first; none without SIMD.
std::vector<Bfloat16Tables> const& bfloat16_tables();

/// Whether these kernels take numbers below the normal ones for zero, as NEON does on 32-bit ARM, and AVX512_BF16 where
/// it rounds.
template <class T>
bool flushes_denormals(mirnet::KernelTable<T> const& kernels) {
#if defined(__arm__)
  return std::string_view(kernels.isa) == "neon";
#else
  return std::is_same_v<T, mirnet::bfloat16> && std::string_view(kernels.isa) == "avx512bf16";
#endif
}

/// body(table) for each of them and for those of double; what fails in it says whose kernels they were.
template <class Body>
void every_table(Body&& body) {
  auto const one = [&](std::string const& type, auto const& kernels) {
    INFO(std::string(kernels.isa), " kernels of ", type);
    body(kernels);
  };
  for (auto const* kernels : kernel_tables()) one("float", *kernels);
  one("double", plain_kernels<double>());
  one("double", eigen_kernels<double>());
}

/// The same, and for those of bfloat16.
template <class Body>
void every_table_of_every_type(Body&& body) {
  every_table(body);
  for (auto const& set : bfloat16_tables()) {
    INFO(std::string(set.halves->isa), " kernels of bfloat16");
    body(*set.halves);
  }
#if defined(MIRNET_HAS_EMULATED)
  INFO("emulated kernels of bfloat16");
  body(*mirnet::linked::bfloat16_kernels_emulated());
#endif
}

}  // namespace test
