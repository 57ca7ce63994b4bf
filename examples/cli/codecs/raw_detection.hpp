// Cameras' raw files by their content: makers' marks, and tags where the file has the structure of a TIFF.
#pragma once

#include <span>

#include <cstddef>

namespace cli {

/// Whether a file is one, as far as its start shows it. Where the directories of a TIFF structure lie behind the start,
/// this is false.
bool is_raw(std::span<std::byte const> start);

}  // namespace cli
