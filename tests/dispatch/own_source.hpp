// What own_source.cpp defines, for each instruction set that it may be compiled for.
#pragma once

#include <mirnet/base/integer.hpp>
#include <mirnet/config.hpp>

/// The name of the set; the sum is in `result`.
using OwnSum = char const*(float const* x, mirnet::Index count, float& result) noexcept;

#define DECLARE(set)   \
  namespace own::set { \
  OwnSum sum;          \
  }
DECLARE(sse2)
DECLARE(avx2)
DECLARE(avx512)
DECLARE(avx512bf16)
#if MIRNET_NO_SIMD || !(defined(__x86_64__) || defined(__i386__))
DECLARE(MIRNET_ISA)
#endif
#undef DECLARE
