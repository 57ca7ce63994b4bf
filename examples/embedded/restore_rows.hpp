// Restores a picture that is larger than the memory, in tiles: rows of the picture are generated on request, as a
// sensor or a decoder would supply them, and rows of the result are passed on as soon as they are final.
#pragma once

#include <cstddef>

namespace rows {

struct Memory {
  long rows;            ///< of the picture
  std::size_t picture;  ///< bytes of all rows as floats, which are never in memory together
  std::size_t run;      ///< bytes of memory for restoring it, known at compile time; independent of the number of rows
};
Memory memory() noexcept;

/// Restores the picture, and compares a corner of the result, bit by bit, with that of the first tile restored by
/// itself. Returns the number of rows of the result, or -1, with a sentence in error().
long restore() noexcept;

char const* error() noexcept;

}  // namespace rows
