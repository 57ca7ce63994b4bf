// Programs beside this one that decode formats whose libraries it does not link.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "decoding.hpp"

namespace cli {

/// Where the plug-in of this name is: beside this program, or where an installation has such programs; empty where
/// there is none.
std::string find_plugin(char const* name);

/// Why files of a format cannot be read here, in a few words; empty where they can.
std::string why_not_read(FormatTraits const& format);

/// Becomes the plug-in of a format, which does the task; `start` is what has been read of the file. Returns where that
/// fails. Errors: input, with a sentence that says what is missing; internal.
mirnet::Error become_plugin(FormatTraits const& format, DecodingTask task, std::span<std::byte const> start);

}  // namespace cli
