// From the processor's reset to application(), and the end of everything that must not happen.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "board.hpp"
#include "semihosting.hpp"

// The linker script's; data is 8-byte aligned.
extern "C" std::uint32_t stack_begin[], stack_end[], data_begin[], data_end[], data_load[], bss_begin[], bss_end[];
using Constructor = void (*)();
extern "C" Constructor init_array_begin[], init_array_end[];

namespace board {

namespace {

constexpr std::uint32_t paint = 0xC0FFEE00;

[[noreturn]] void stop(char const* what) noexcept {
  print_all(what, "\n");
  exit(2);
}

[[noreturn, gnu::noinline]] void start() noexcept {
  for (auto *to = data_begin, *from = data_load; to < data_end;) *to++ = *from++;
  for (auto* to = bss_begin; to < bss_end;) *to++ = 0;
  for (auto* constructor = init_array_begin; constructor < init_array_end; ++constructor) (*constructor)();
  exit(application());
}

[[noreturn]] void fault() noexcept { stop("the processor faulted"); }

}  // namespace

std::size_t stack_used() noexcept {
  auto* unused = stack_end;
  while (*unused == paint) ++unused;
  return static_cast<std::size_t>(stack_begin - unused) * sizeof *unused;
}

}  // namespace board

/// The first code that runs. It has no stack frame: nothing may use the floating-point unit before it is on, nor the
/// stack before it is painted.
extern "C" [[gnu::naked]] void reset() {
  asm volatile(
      "ldr r0, =0xE000ED88 \n"  // coprocessor access control: full access to CP10 and CP11
      "ldr r1, [r0]        \n"
      "orr r1, #0xF00000   \n"
      "str r1, [r0]        \n"
      "dsb                 \n"
      "isb                 \n"
      "ldr r0, =stack_end  \n"
      "ldr r1, =stack_begin\n"
      "ldr r2, =%c0        \n"
      "1: str r2, [r0], #4 \n"
      "cmp r0, r1          \n"
      "blo 1b              \n"
      "b %c1               \n"
      :
      : "i"(board::paint), "i"(board::start));
}

using Handler = void (*)();
struct Vectors {
  std::uint32_t* stack;
  Handler handlers[15];  // reset, NMI, hard fault, and those that a fault becomes or that are never enabled
};
extern "C" [[gnu::section(".vectors"), gnu::used]] Vectors const vectors{
    stack_begin,
    {reset, board::fault, board::fault, board::fault, board::fault, board::fault, board::fault, board::fault,
     board::fault, board::fault, board::fault, board::fault, board::fault, board::fault, board::fault}};

// There is no heap. The library refers to it for models that take their own memory; who comes here has made a mistake.
extern "C" {
void* malloc(std::size_t) { board::stop("memory was taken from the heap"); }
void* calloc(std::size_t, std::size_t) { board::stop("memory was taken from the heap"); }
void* realloc(void*, std::size_t) { board::stop("memory was taken from the heap"); }
void* aligned_alloc(std::size_t, std::size_t) { board::stop("memory was taken from the heap"); }
void free(void* p) {
  if (p != nullptr) board::stop("memory was given to the heap");
}
void abort() { board::stop("abort"); }

// Newlib's own is part of a kilobyte of state for files.
int* __errno() {
  static int number = 0;
  return &number;
}

// Static objects live as long as the power is on.
void* __dso_handle = nullptr;
int __aeabi_atexit(void*, void (*)(void*), void*) { return 0; }
}
