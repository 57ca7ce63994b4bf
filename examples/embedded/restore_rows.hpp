// A picture that is larger than the memory, restored in tiles: its rows are made when they are asked for, as a
// sensor or a decoder would bring them, and those of the result leave once they are done.
#pragma once

#include <cstddef>

namespace rows {

struct Memory {
  long rows;            ///< of the picture
  std::size_t picture;  ///< bytes of all rows as floats, which are never there together
  std::size_t run;      ///< what restoring it takes, known at compile time; it does not grow with the rows
};
Memory memory() noexcept;

/// Restores the picture, and compares a corner of it with what the first tile is by itself, bit by bit. The number of
/// rows that came out, or -1, with a sentence in error().
long restore() noexcept;

char const* error() noexcept;

}  // namespace rows
