// Declares what own_source.cpp defines for each instruction set.
#pragma once

#include <mirnet/base/integer.hpp>
#include <mirnet/config.hpp>

/// Writes the sum to `result` and returns the name of the set.
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
