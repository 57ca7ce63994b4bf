// Calls to whoever watches the processor, a debugger or an emulator: the board's only way to say something here.
#pragma once

#include <cstdint>

namespace board {

/// Semihosting for A32/T32: operation and argument in r0 and r1, and a breakpoint that stands for the call.
inline std::uint32_t semihost(std::uint32_t operation, void const* argument) noexcept {
  register std::uint32_t r0 asm("r0") = operation;
  register void const* r1 asm("r1") = argument;
  asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

inline void print(char const* text) noexcept { semihost(0x04, text); }  // SYS_WRITE0

inline void print(unsigned long number) noexcept {
  char digits[12], *first = digits + sizeof digits - 1;
  *first = '\0';
  do *--first = static_cast<char>('0' + number % 10);
  while ((number /= 10) > 0);
  print(first);
}

template <class... Parts>
void print_all(Parts... parts) noexcept {
  (print(parts), ...);
}

[[noreturn]] inline void exit(int code) noexcept {
  // SYS_EXIT_EXTENDED: the reason ADP_Stopped_ApplicationExit, and the code.
  std::uint32_t const reason[] = {0x20026, static_cast<std::uint32_t>(code)};
  for (;;) semihost(0x20, reason);
}

}  // namespace board
