// Restores a picture in tiles on a Cortex-M7 without an operating system: rows come in and go out one after the other,
// and the picture is never in memory as a whole. Exits with 0 if a corner of the result equals that of the first tile.
#include "board.hpp"
#include "footprint.hpp"
#include "restore_rows.hpp"
#include "semihosting.hpp"

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
  board::print_flash("\n");
  print_all("RAM: ", bytes(memory.run), " bytes to restore it in, for any number of rows\n");
  board::print_stack();
  return restored == memory.rows ? 0 : 1;
}
