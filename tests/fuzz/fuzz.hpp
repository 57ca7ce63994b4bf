// What the fuzz targets share. A target gets bytes and does with them what the program does with a user's; that it
// neither crashes nor hangs is for the sanitizers to say, that what it answers is right for require().
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include <mirnet/base/result.hpp>

// Sizes that no machine has are asked for on purpose: malloc answers null, and so shall its sanitized version.
extern "C" inline char const* __asan_default_options() { return "allocator_may_return_null=1"; }

/// libFuzzer's own mutation of some bytes, for custom mutators.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace fuzz {

using Bytes = std::span<std::byte const>;

inline Bytes bytes(std::uint8_t const* data, std::size_t size) { return std::as_bytes(std::span(data, size)); }

/// Ends the process, which libFuzzer reports with the input, where something that always holds does not.
inline void require(bool holds, char const* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: it does not hold that %s\n", what);
  std::abort();
}

/// An error has a sentence, of one line that a terminal shows as it is, and a code that users know.
inline void require_sentence(mirnet::Error const& error) {
  std::string_view const sentence = error.message();
  require(!sentence.empty(), "an error has a sentence");
  require(error.code() != mirnet::ErrorCode::internal, "a mistake in an input is not one of the program");
}

}  // namespace fuzz
