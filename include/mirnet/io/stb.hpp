// stb_image and stb_image_write: PNG and JPEG from memory, PNG, JPEG and BMP to memory, no files. This header compiles
// their implementations, as static functions, into every translation unit that includes it (mirnet/io/image_file.hpp
// does).
// Other translation units may have an implementation of their own. A translation unit that uses stb's headers itself
//
//   includes them before this header, with these formats enabled, and the library uses that implementation; or
//   defines MIRNET_STB_IMPLEMENTATION as 0. Then this header only declares stb's functions, and the application
//   compiles both implementations in one of its translation units, before or after this header.
//
// Unless the macro is 0, stb_image.h has no effect after this header, and with STB_IMAGE_IMPLEMENTATION it defines
// everything a second time, which does not compile.
#pragma once

#include <mirnet/config.hpp>
#include <mirnet/io/stb_memory.hpp>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-align"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wswitch-default"
#pragma GCC diagnostic ignored "-Wtype-limits"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wzero-as-null-pointer-constant"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuseless-cast"
#endif
#endif

#if !MIRNET_STB_IMPLEMENTATION
#if __has_include(<stb_image.h>)
#include <stb_image.h>
#include <stb_image_write.h>
#else
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#endif
#endif

#ifndef STBI_INCLUDE_STB_IMAGE_H
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_MALLOC(size) ::mirnet::detail::StbMemory::take(size)
#define STBI_REALLOC_SIZED(p, old_size, size) ::mirnet::detail::StbMemory::take_more(p, old_size, size)
#define STBI_FREE(p) ::mirnet::detail::StbMemory::give_back(p)
#if __has_include(<stb_image.h>)
#include <stb_image.h>
#else
#include <stb/stb_image.h>
#endif
#undef STB_IMAGE_IMPLEMENTATION
#undef STB_IMAGE_STATIC
#undef STBI_MALLOC
#undef STBI_REALLOC_SIZED
#undef STBI_FREE
#endif

#ifndef INCLUDE_STB_IMAGE_WRITE_H
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#define STBIW_MALLOC(size) ::mirnet::detail::StbMemory::take(size)
#define STBIW_REALLOC_SIZED(p, old_size, size) ::mirnet::detail::StbMemory::take_more(p, old_size, size)
#define STBIW_FREE(p) ::mirnet::detail::StbMemory::give_back(p)
#if __has_include(<stb_image_write.h>)
#include <stb_image_write.h>
#else
#include <stb/stb_image_write.h>
#endif
#undef STB_IMAGE_WRITE_IMPLEMENTATION
#undef STB_IMAGE_WRITE_STATIC
#undef STBIW_MALLOC
#undef STBIW_REALLOC_SIZED
#undef STBIW_FREE
#endif

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
