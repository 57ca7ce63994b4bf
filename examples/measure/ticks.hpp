// A clock that is cheap enough to be read twice for every work tile of a kernel: reading the processor's own counter
// takes a few cycles where the system's clock takes a tenth of a microsecond. Its unit is calibrated against the
// system's clock.
#pragma once

#include <chrono>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace measure {

/// Whether the processor's counter runs evenly, whatever the clock of the cores does.
inline bool has_steady_counter() noexcept {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d >> 8 & 1) != 0;
#else
  return false;
#endif
}

class TickClock {
 public:
  std::uint64_t now() const noexcept {
#if defined(__x86_64__)
    if (counter_) return __rdtsc();
#endif
    return system_now();
  }

  /// Since this object was made, both clocks have seen the same time: the longer ago, the more exactly.
  double nanoseconds_a_tick() const noexcept {
    if (!counter_) return 1.0;
    auto const system = static_cast<double>(system_now() - system_start_);
    return system / static_cast<double>(now() - start_);
  }

 private:
  static std::uint64_t system_now() noexcept {
    auto const time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
  }

  bool counter_ = has_steady_counter();
  std::uint64_t system_start_ = system_now(), start_ = now();
};

}  // namespace measure
