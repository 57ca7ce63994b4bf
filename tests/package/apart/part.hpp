// What goes into a part and comes out.
#pragma once

#include <cstddef>

struct Part {
  std::byte const* weights;
  std::size_t weights_bytes;
  std::ptrdiff_t height, width;
  float* image;  // three planes, one after the other; replaced by the result
  char const* version;
  char const* isa;
};

using PartRun = bool(Part&) noexcept;
