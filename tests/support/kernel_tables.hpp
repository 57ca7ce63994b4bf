// The kernel tables that tests go through: every instruction set that is built in and that the machine has, the plain
// kernels, and Eigen's.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <mirnet/kernels/eigen.hpp>
#include <mirnet/kernels/reference.hpp>

#include "instruction_sets.hpp"

namespace test {

/// Those of float, the fastest first.
inline std::vector<mirnet::KernelTable<float> const*> const& kernel_tables() {
  static auto const tables = [] {
    std::vector<mirnet::KernelTable<float> const*> list;
    for (auto const& set : cli::instruction_sets()) {
      if (set.available && set.has_own_float_kernels()) list.push_back(set.kernels());
    }
    list.push_back(&mirnet::reference_kernels<float>());
    list.push_back(&mirnet::eigen_kernels<float>());
    return list;
  }();
  return tables;
}

/// body(table) for each of them and for those of double; what fails in it says whose kernels they were.
template <class Body>
void every_table(Body&& body) {
  auto const one = [&](std::string const& type, auto const& kernels) {
    INFO(std::string(kernels.isa), " kernels of ", type);
    body(kernels);
  };
  for (auto const* kernels : kernel_tables()) one("float", *kernels);
  one("double", mirnet::reference_kernels<double>());
  one("double", mirnet::eigen_kernels<double>());
}

}  // namespace test
