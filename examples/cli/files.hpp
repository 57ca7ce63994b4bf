// Which pictures a command is to work on, and where the results go.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <mirnet/base/result.hpp>

#include "standard_streams.hpp"

namespace cli {

struct FileOptions {
  std::vector<std::string> files;  ///< INPUT OUTPUT; or pictures and folders of them
  std::optional<std::string> output_folder, suffix, format;
  bool recursive = false;
};

/// One picture. Both are paths or `standard_stream`.
struct Work {
  std::string input, output;
};

/// What there is to do, in the order of the arguments, folders in that of their names. Two arguments, and neither
/// output folder nor suffix: input and output. Otherwise all are inputs, and a result has its input's name with the
/// suffix ("-clean" where neither is said) before the extension; where it has another format, the input's extension
/// stays in the name, so that a.jpg and a.png never meet. Folders inside of a folder are kept in the output folder.
/// Errors: invalid_argument, where the arguments do not go together or two results would be one file; input, where a
/// folder cannot be read or there is no picture in any.
mirnet::Result<std::vector<Work>> list_work(FileOptions const& options);

/// The extension of a path without its dot, in small letters.
std::string extension_of(std::string const& path);

}  // namespace cli
