// The memory that libpng works in. It leaves metadata out where there is none, and says so to nobody.
#pragma once

#include <cstdlib>

#include <png.h>

namespace cli {

/// For png_create_..._struct_2, whose mem_ptr is an Owner: its memory_is_left tells afterwards whether there was
/// enough.
template <class Owner>
void* take_png_memory(png_structp png, png_alloc_size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) static_cast<Owner*>(png_get_mem_ptr(png))->memory_is_left = false;
  return memory;
}
inline void give_back_png_memory(png_structp, png_voidp memory) { std::free(memory); }

}  // namespace cli
