// Restores a picture in tiles on a Cortex-M7 without an operating system: rows come in and go out one after the other,
// and the picture is never in memory as a whole. Exits with 0 if a corner of the result equals that of the first tile.
#include "board.hpp"
#include "restore_rows.hpp"
#include "semihosting.hpp"

extern "C" char code_size[], constants_size[], stack_size[];  // the linker script's: addresses that are numbers

namespace {

unsigned long number(char const* symbol) { return reinterpret_cast<unsigned long>(symbol); }

}  // namespace

int application() {
  using board::print_all;
  long const restored = rows::restore();
  if (restored < 0) {
    print_all(rows::error(), "\n");
    return 1;
  }
  auto const memory = rows::memory();
  auto const bytes = [](std::size_t size) { return static_cast<unsigned long>(size); };
  print_all("rows restored: ", static_cast<unsigned long>(restored), " of ", static_cast<unsigned long>(memory.rows),
            "\n");
  print_all("flash: ", number(code_size), " bytes of code, ", number(constants_size), " of constants\n");
  print_all("RAM: ", bytes(memory.run), " bytes to restore it in, for any number of rows\n");
  print_all("stack: ", bytes(board::stack_used()), " bytes of ", number(stack_size), " used\n");
  return restored == memory.rows ? 0 : 1;
}
