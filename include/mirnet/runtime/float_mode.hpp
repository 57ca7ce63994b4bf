// How the processor computes with floats while a network runs, whatever the calling program has set: numbers below the
// normal ones count as zero, results are rounded to the nearest, nothing traps. Some processors take many times as long
// for numbers below the normal ones (1.2e-38 for float), and threads differ in what they were set to.
#pragma once

#include <cstdint>

#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI {

/// The mode of the thread that it is made in, until it is destroyed; then everything is as before, exception flags
/// included. Does nothing on processors that are not listed, WebAssembly among them, and with MIRNET_KEEP_FLOAT_MODE.
class FloatMode {
 public:
  FloatMode() noexcept { set(ours); }
  FloatMode(FloatMode const&) = delete;
  FloatMode& operator=(FloatMode const&) = delete;
  ~FloatMode() { set(before_); }

 private:
  // Memory is named, so that compilers leave what is computed between its loads and stores.
#if defined(__SSE__) && !defined(__wasm__) && defined(__GNUC__) && !MIRNET_KEEP_FLOAT_MODE
  using Register = std::uint32_t;
  static constexpr Register ours = 0x9FC0;  // flush to zero, denormals are zero, no exceptions
  static Register get() noexcept {
    Register value;
    __asm__ __volatile__("stmxcsr %0" : "=m"(value) : : "memory");
    return value;
  }
  static void set(Register value) noexcept { __asm__ __volatile__("ldmxcsr %0" : : "m"(value) : "memory"); }
#elif defined(__aarch64__) && defined(__GNUC__) && !MIRNET_KEEP_FLOAT_MODE
  using Register = std::uint64_t;  // mode and, in the upper half, flags
  static constexpr Register ours = Register{1} << 24;
  static Register get() noexcept {
    Register mode, flags;
    __asm__ __volatile__("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(mode), "=r"(flags) : : "memory");
    return mode | flags << 32;
  }
  static void set(Register value) noexcept {
    Register const mode = value & 0xFFFFFFFF, flags = value >> 32;
    __asm__ __volatile__("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(mode), "r"(flags) : "memory");
  }
#elif defined(__arm__) && defined(__ARM_FP) && defined(__GNUC__) && !MIRNET_KEEP_FLOAT_MODE
  using Register = std::uint32_t;
  static constexpr Register ours = Register{1} << 24;
  static Register get() noexcept { return __builtin_arm_get_fpscr(); }
  static void set(Register value) noexcept { __builtin_arm_set_fpscr(value); }
#else
  using Register = std::uint32_t;
  static constexpr Register ours = 0;
  static Register get() noexcept { return 0; }
  static void set(Register) noexcept {}
#endif

  Register before_ = get();
};

}  // namespace mirnet::inline MIRNET_ABI
