// Restores the tile on a Cortex-M7 without an operating system, says what it took, and exits with 0 if the result is
// PyTorch's.
#include "board.hpp"
#include "restore_tile.hpp"
#include "semihosting.hpp"

extern "C" char code_size[], constants_size[], stack_size[];  // the linker script's: addresses that are numbers

namespace {

unsigned long number(char const* symbol) { return reinterpret_cast<unsigned long>(symbol); }

}  // namespace

int application() {
  using board::print_all;
  print_all("cut off: ", tile::refusal(), "\n");
  if (!tile::set_up()) {
    print_all(tile::error(), "\n");
    return 1;
  }
  long const difference = tile::restore();
  if (difference < 0) {
    print_all(tile::error(), "\n");
    return 1;
  }
  auto const memory = tile::memory();
  auto const bytes = [](std::size_t size) { return static_cast<unsigned long>(size); };
  print_all("difference from PyTorch: ", bytes(static_cast<std::size_t>(difference)),
            " billionths of the residual, at most 20000\n");
  print_all("flash: ", number(code_size), " bytes of code, ", number(constants_size), " of constants, ",
            bytes(memory.weights), " of weights\n");
  print_all("RAM: ", bytes(memory.model), " bytes of structure, ", bytes(memory.run), " of working memory, ",
            bytes(memory.images), " of images\n");
  print_all("stack: ", bytes(board::stack_used()), " bytes of ", number(stack_size), " used\n");
  return difference <= 20000 ? 0 : 1;
}
