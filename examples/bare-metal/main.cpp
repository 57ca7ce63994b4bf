// Restores the tile on a Cortex-M7 without an operating system, says what it took, and exits with 0 if the result is
// PyTorch's.
#include "board.hpp"
#include "footprint.hpp"
#include "restore_tile.hpp"
#include "semihosting.hpp"

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
  board::print_flash(", ", bytes(memory.weights), " of weights\n");
  print_all("RAM: ", bytes(memory.model), " bytes of structure, ", bytes(memory.run), " of working memory, ",
            bytes(memory.images), " of images\n");
  board::print_stack();
  return difference <= 20000 ? 0 : 1;
}
