// An application without an operating system, as far as it does not depend on the board: it restores a tile of a
// picture with a small network, in memory whose size is known at compile time, and checks the result.
#pragma once

#include <cstddef>

namespace tile {

/// Bytes of memory, all of them arrays: there is no heap.
struct Memory {
  std::size_t weights;  ///< read-only, used where they lie
  std::size_t model;    ///< the network's structure
  std::size_t run;      ///< working memory
  std::size_t images;   ///< what comes in and what goes out
};
Memory memory() noexcept;

/// Loads the model. False with a sentence in error(), if that cannot be.
bool set_up() noexcept;

/// Restores the tile and compares it with what PyTorch makes of it: the largest difference in billionths of the largest
/// change that the network makes, which is 20000 at most; or -1, with a sentence in error().
long restore() noexcept;

/// The sentence with which a file is refused that was cut off on its way to the flash.
char const* refusal() noexcept;

char const* error() noexcept;

}  // namespace tile
