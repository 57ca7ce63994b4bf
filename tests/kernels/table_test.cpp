// Which kernels the tests of this folder run.
#include <doctest/doctest.h>

#include <string>

#include "support/kernel_tables.hpp"

TEST_CASE("tables are named after the set that they are compiled for, and what the machine lacks is refused") {
  for (auto const& set : mirnet::kernel_sets()) {
    std::string const name = set.name;
    CAPTURE(name);
    auto const kernels = mirnet::choose_kernels(name);
    REQUIRE(kernels.ok() == set.available());
    if (set.available()) {
      CHECK(std::string((*kernels)->isa) == set.float_isa);
      CHECK(*kernels == set.kernels());
      if (set.bfloat16_kernels != nullptr) CHECK(std::string(set.bfloat16_kernels()->isa) == name);
    } else {
      CHECK(kernels.error().code() == mirnet::ErrorCode::invalid_argument);
      MESSAGE("this machine lacks ", name, ": its kernels are not tested");
    }
  }
  CHECK(!mirnet::choose_kernels("mmx").ok());
  CHECK(std::string(test::plain_kernels<float>().isa) == "scalar");
  CHECK(std::string(test::eigen_kernels<float>().isa) == "eigen");
}

TEST_CASE("avx512bf16 has the float kernels of avx512, every other set its own") {
  for (auto const& set : mirnet::kernel_sets()) {
    std::string const name = set.name;
    CAPTURE(name);
    CHECK(std::string(set.float_isa) == (name == "avx512bf16" ? "avx512" : name));
    CHECK(set.has_own_float_kernels() == (name != "avx512bf16"));
    if (set.has_own_float_kernels() || !set.available()) continue;
    CHECK(set.kernels() == mirnet::choose_kernels(set.float_isa).value());
  }
}

TEST_CASE("the smallest set is that of the processor that the tests are compiled for") {
#if defined(__x86_64__) || defined(__i386__)
  std::string const expected = "sse2";
#elif defined(__ARM_NEON)
  std::string const expected = "neon";
#else
  std::string const expected = "scalar";
#endif
  auto const& last = mirnet::kernel_sets().back();
  CHECK(last.available());
  CHECK(last.name == expected);
  CHECK(last.kernels()->isa == expected);
}

TEST_CASE("without a name it is the first that the machine has") {
  for (auto const& set : mirnet::kernel_sets()) {
    if (!set.available()) continue;
    CHECK(mirnet::choose_kernels().value() == set.kernels());
    return;
  }
}
