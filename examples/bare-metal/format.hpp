// Included before everything else: sentences of errors are put together by a function of this program. The C library's
// brings its files and its heap, 26 KB.
#pragma once

#include <cstdarg>
#include <cstddef>

namespace board {

/// As vsnprintf, for %%, %c, %s, %d, %u and %x with any length; a width is ignored.
int format(char* to, std::size_t size, char const* text, std::va_list arguments) noexcept;

}  // namespace board

#define MIRNET_VSNPRINTF(...) board::format(__VA_ARGS__)
