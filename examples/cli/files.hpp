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

/// What there is to do.
struct WorkList {
  struct Unreadable {
    std::string folder;
    mirnet::Error why;
  };

  std::vector<Work> pictures;          ///< in the order of the arguments, folders in that of their names
  std::vector<Unreadable> unreadable;  ///< folders, one of which at least has something beside it that can be done
  std::size_t results = 0;             ///< pictures in folders that have the suffix of results
};

/// Two arguments, and neither output folder nor suffix: input and output. Otherwise all are inputs, and a result has
/// its input's name with the suffix ("-clean" where neither is said) before the extension; where it has another format,
/// the input's extension stays in the name, so that a.jpg and a.png never meet. A name whose extension is not written
/// gets the format of the content. Folders inside of a folder are kept in the output folder.
///
/// What is found in a folder is no input if it may be a result: if it has the suffix or lies in the output folder. Nor
/// is what is hidden, a name that begins with a dot. What is named itself always is.
///
/// Errors: invalid_argument, where the arguments do not go together or two results would be one file; input, where
/// there is no picture in any folder.
mirnet::Result<WorkList> list_work(FileOptions const& options);

/// The extension of a path without its dot, in small letters.
std::string extension_of(std::string const& path);

}  // namespace cli
