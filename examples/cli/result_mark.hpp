// The mark by which the program knows its own results under any name: EXIF's ProcessingSoftware says what made them.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "codecs/metadata.hpp"

namespace cli {

/// What all marks begin with.
inline constexpr std::string_view result_mark_start = "mirnet denoise ";

/// "mirnet denoise 0.3.0, model standard (0123abcd)": the verb, the program's version, and the weights with their
/// checksum.
std::string result_mark(std::string const& verb, std::string const& model, std::string const& checksum);

/// EXIF data with the mark in its first directory, which it gets if there is none; an earlier mark is replaced. All
/// other values stay where they are, as makers' notes count from the start of the data. The data as it is where it is
/// damaged, or where it would be longer than `most` bytes.
Bytes with_result_mark(Bytes exif, std::string const& mark, std::size_t most);

/// The mark in EXIF data; empty where there is none.
std::string result_mark_of(std::span<std::byte const> exif);

/// Whether a file has a mark: looked for in its first and last parts, where formats keep EXIF data. False where the
/// file cannot be read.
bool has_result_mark(std::filesystem::path const& file);

}  // namespace cli
