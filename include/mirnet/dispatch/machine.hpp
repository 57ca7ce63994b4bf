// Which instruction sets the machine that runs the program has.
#pragma once

#include <string_view>

#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Whether the processor has an instruction set (a name of simd/instruction_set.hpp), and the system lets programs use
/// its registers. False for any other name. Architectures other than x86 are not queried: each has one set, and the
/// compiler's flags guarantee it.
inline bool machine_has(std::string_view set) noexcept {
  if (set == "scalar") return true;
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
  // This checks the system, too (XGETBV): a set counts only if its registers survive a task switch.
  if (set == "sse2") return __builtin_cpu_supports("sse2") != 0;
  if (set == "avx2") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (set != "avx512" && set != "avx512bf16") return false;
  bool const avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  return avx512 && (set == "avx512" || __builtin_cpu_supports("avx512bf16"));
#elif defined(__aarch64__) || defined(__arm__)
  return set == "neon";
#elif defined(__wasm__)
  return set == "sse2";
#else
  return false;
#endif
}

}  // namespace mirnet::inline MIRNET_ABI
