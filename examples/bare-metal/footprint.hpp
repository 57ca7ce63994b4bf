// What a program takes of the board, as the linker script and the start-up code know it.
#pragma once

#include "board.hpp"
#include "semihosting.hpp"

extern "C" char code_size[], constants_size[], stack_size[];  // the linker script's: addresses that are numbers

namespace board {

inline unsigned long number(char const* symbol) noexcept { return reinterpret_cast<unsigned long>(symbol); }

/// `more` ends the line.
template <class... More>
void print_flash(More... more) noexcept {
  print_all("flash: ", number(code_size), " bytes of code, ", number(constants_size), " of constants", more...);
}

inline void print_stack() noexcept {
  print_all("stack: ", static_cast<unsigned long>(stack_used()), " bytes of ", number(stack_size), " used\n");
}

}  // namespace board
