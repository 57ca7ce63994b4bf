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
  std::vector<std::string> files;     ///< INPUT OUTPUT; or pictures and folders of them
  std::optional<std::string> output;  ///< a file, or a folder
  std::optional<std::string> output_folder, suffix, format;
  std::string usual_suffix = "-clean";  ///< the task's
  bool recursive = false, include_results = false, keep_extension = false;
  bool inputs_only = false;  ///< there are no results, and no argument is an output
};

/// One picture. Both are paths or `standard_stream`.
struct Work {
  std::string input, output;                                ///< no output: nothing is written
  std::optional<std::string> output_folder = std::nullopt;  ///< that all results of a folder go to, if so
};

/// What there is to do.
struct WorkList {
  struct Unreadable {
    std::string folder;
    mirnet::Error why;
  };

  std::vector<Work> pictures;          ///< in the order of the arguments, folders in that of their names
  std::vector<Unreadable> unreadable;  ///< folders, one of which at least has something beside it that can be done

  // What folders hold besides.
  std::size_t results = 0, subfolders = 0, others = 0;  ///< results of earlier runs; without -r; files of other kinds
};

/// Two arguments are input and output, unless an option says where results go. Otherwise all arguments are inputs:
///
/// - With an output folder, each result goes there under its input's name, with the suffix if one is given. An output
///   is such a folder if there is one, if its name ends in a slash, or if the input is a folder. Folders inside of a
///   folder are kept.
/// - With a suffix, each result goes beside its input, with the suffix before the extension.
/// - With neither, a picture's result goes beside it with the usual suffix, and the results of a folder go under the
///   names of its pictures to a folder beside it, which has the usual suffix.
///
/// What is found in a folder is no input if it may be a result: if its name ends in one of the suffixes, if the program
/// has marked it as its own (result_mark.hpp), or if it lies in an output folder. Nor is what is hidden, a name that
/// begins with a dot. What is named itself always is.
///
/// Errors: invalid_argument, where the arguments do not go together or two results would be one file; input, where
/// there is no picture in any folder.
mirnet::Result<WorkList> list_work(FileOptions const& options);

/// Whether the folders of all results can be written to, or created. Errors: output.
mirnet::Result<void> check_output_folders(WorkList const& work);

}  // namespace cli
