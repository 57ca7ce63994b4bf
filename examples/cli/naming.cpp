#include "naming.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <system_error>

#include <mirnet/io/file.hpp>

#include "codecs/formats.hpp"
#include "standard_streams.hpp"
#include "system.hpp"

namespace fs = std::filesystem;

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;

/// The extension for what a file's first bytes say, or for PNG where that is not written.
mirnet::Result<std::string> extension_by_content(fs::path const& path) {
  std::error_code ignored;
  if (auto const status = fs::status(path, ignored); fs::is_fifo(status) || fs::is_character_file(status)) {
    return Error(ErrorCode::invalid_argument,
                 "%s: the name of a pipe gives no output format; use --format, or name the output",
                 text_of(path).c_str());
  }
  auto const* const format = format_of_file(path);
  return std::string(traits(format == nullptr ? Format::png : format->result).extensions.front());
}

}  // namespace

std::string extension_of(std::string const& path) {
  auto extension = text_of(path_of(path).extension());
  if (!extension.empty()) extension.erase(0, 1);
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension;
}

mirnet::Result<std::string> result_name(fs::path const& picture, NamingRules const& rules) {
  auto const extension = extension_of(text_of(picture.filename()));
  auto const* const own = format_named(extension);
  auto format = rules.format.value_or(extension);
  if (auto const* const named = format_named(format); named == nullptr || named->encode == nullptr) {
    auto found = extension_by_content(picture);
    if (!found) return found.error();
    format = *std::move(found);
  }
  auto result = text_of(picture.stem()) + rules.suffix;
  if (format == extension) return result + text_of(picture.extension());  // in capital letters, if it is
  // What follows the last dot of "holiday.2024" is no format: it stays.
  bool const keep = rules.keep_extension || own == nullptr;
  if (keep && !extension.empty()) result += text_of(picture.extension());
  return result + "." + format;
}

bool may_be_result_name(fs::path const& file, std::string_view suffix) {
  auto const has_suffix = [&](std::string const& stem) {
    return stem.size() > suffix.size() && stem.ends_with(suffix);
  };
  if (suffix.empty()) return false;
  auto const stem = file.stem();
  return has_suffix(text_of(stem)) ||
         (format_named(extension_of(text_of(stem))) != nullptr && has_suffix(text_of(stem.stem())));
}

mirnet::Result<fs::path> result_folder(fs::path const& folder, std::string_view suffix) {
  std::error_code failed;
  auto resolved = fs::canonical(folder, failed);
  if (failed) resolved = fs::absolute(folder).lexically_normal();
  if (!resolved.has_filename()) resolved = resolved.parent_path();
  if (!resolved.has_relative_path()) {
    return Error(ErrorCode::invalid_argument, "%s: has no folder beside it for the results; use --output-dir",
                 text_of(folder).c_str());
  }
  // Where the name was given as it is, the result is called as the user thinks of it, not by an absolute path.
  auto const name = path_of(text_of(resolved.filename()) + std::string(suffix));
  auto plain = folder.has_filename() ? folder : folder.parent_path();
  bool const is_plain = plain.filename() == resolved.filename() && !fs::is_symlink(plain, failed);
  return is_plain ? plain.parent_path() / name : resolved.parent_path() / name;
}

mirnet::Result<std::string> page_name(std::string const& input, std::string_view suffix) {
  if (is_descriptor(input)) {
    return Error(ErrorCode::invalid_argument, "%s: the page on a stream has no name; use --compare", input.c_str());
  }
  std::error_code ignored;
  auto const file = path_of(input);
  if (!fs::is_directory(file, ignored)) {
    return text_of(file.parent_path() / path_of(text_of(file.stem()) + std::string(suffix) + ".html"));
  }
  auto const beside = result_folder(file, suffix);
  if (!beside) return beside.error();
  return text_of(*beside) + ".html";
}

bool is_descriptor(std::string const& path) {
  return path == standard_stream || path == "/dev/stdin" || path.starts_with("/dev/fd/") || path.starts_with("/proc/");
}

FormatTraits const* format_of_file(fs::path const& path) {
  auto const file = mirnet::InputFile::open(text_of(path).c_str(), ErrorCode::input);
  if (!file) return nullptr;
  std::array<std::byte, 4096> buffer;
  auto const start =
      std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file->size())));
  return file->read(0, start) ? format_of(start) : nullptr;
}

bool ends_in_separator(std::string const& path) {
  return !path.empty() &&
         std::string_view(mirnet::detail::system::separators).find(path.back()) != std::string_view::npos;
}

bool names_folder(std::string const& path) {
  std::error_code ignored;
  return ends_in_separator(path) || fs::is_directory(path_of(path), ignored);
}

}  // namespace cli
