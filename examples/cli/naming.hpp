// What the results of pictures are called.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <mirnet/base/result.hpp>

#include "codecs/formats.hpp"

namespace cli {

/// The extension of a path without its dot, in small letters.
std::string extension_of(std::string const& path);

struct NamingRules {
  std::string suffix;                 ///< goes before the extension
  std::optional<std::string> format;  ///< the extension of all results
  bool keep_extension = false;        ///< a.jpg gives a.jpg.png where the formats differ, instead of a.png
};

/// The file name of a picture's result, without a folder. The result has the extension of the rules; without one, the
/// picture's own where that format is written, and else the one that belongs to the picture's content. Errors:
/// invalid_argument, where the picture is a pipe and neither its name nor the rules say the format.
mirnet::Result<std::string> result_name(std::filesystem::path const& picture, NamingRules const& rules);

/// Whether a result of another picture may have such a name: a-clean.jpg, or a-clean.tga.png, for the suffix "-clean".
bool may_be_result_name(std::filesystem::path const& file, std::string_view suffix);

/// The folder for the results of a folder's pictures: beside it, with the suffix added to its name. Links and dots are
/// resolved first. Errors: invalid_argument, where there is nothing beside it, as with "/".
mirnet::Result<std::filesystem::path> result_folder(std::filesystem::path const& folder, std::string_view suffix);

/// The name of a page on a picture or a folder, beside it: "photo-preview.html". Errors: invalid_argument, where the
/// input is a stream.
mirnet::Result<std::string> page_name(std::string const& input, std::string_view suffix);

/// The format that a file shows by its first bytes; null where it shows none or cannot be read.
FormatTraits const* format_of_file(std::filesystem::path const& file);

/// Whether a path names something that is open already and that others reach by another name or by none.
bool is_descriptor(std::string const& path);

/// Whether it ends in what stands between folders: a slash, on Windows also a backslash.
bool ends_in_separator(std::string const& path);

/// Whether a path means a folder: there is one, or it ends in a separator.
bool names_folder(std::string const& path);

}  // namespace cli
