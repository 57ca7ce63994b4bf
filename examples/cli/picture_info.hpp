// mirnet info of a photograph: what its file says of it, and how noisy it is.
#pragma once

#include <string>

#include <mirnet/base/result.hpp>

#include "picture.hpp"

namespace cli {

/// Whether a path is that of a photograph to describe, and not of a weight file: the standard input, or a file whose
/// content, or else whose name, is that of a picture.
bool is_picture(std::string const& path);

/// Prints what a photograph is, in lines or as a line of JSON. Errors: as of read_picture.
mirnet::Result<void> print_picture_info(std::string const& path, Reading const& reading, bool as_json);

}  // namespace cli
