#include "files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <mirnet/io/file.hpp>

#include "codecs/formats.hpp"

namespace fs = std::filesystem;

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;

bool is_readable(std::string_view extension) {
  auto const* const format = format_named(extension);
  return format != nullptr && is_read(*format);
}
bool is_writable(std::string_view extension) {
  auto const* const format = format_named(extension);
  return format != nullptr && format->encode != nullptr;
}

/// A picture, and the folders between the folder that was named and itself.
struct Found {
  fs::path file, inside;
};

/// What goes before the extension of a result.
std::string suffix_of(FileOptions const& options) {
  return options.suffix.value_or(options.output_folder ? "" : "-clean");
}

/// Whether a result of another picture has such a name: a-clean.jpg, or a-clean.tga.png.
bool may_be_result(fs::path const& file, std::string const& suffix) {
  auto const has_suffix = [&](std::string const& stem) {
    return stem.size() > suffix.size() && stem.ends_with(suffix);
  };
  if (suffix.empty()) return false;
  auto const stem = file.stem();
  return has_suffix(stem.string()) || (is_readable(extension_of(stem.string())) && has_suffix(stem.stem().string()));
}

bool is_output_folder(fs::path const& folder, FileOptions const& options) {
  std::error_code missing;
  return options.output_folder && fs::equivalent(folder, *options.output_folder, missing);
}

/// The pictures in a folder, and in those inside of it if that is wanted, in the order of their names.
class FolderWalk {
 public:
  FolderWalk(FileOptions const& options, WorkList& list)
      : options_(options), suffix_(suffix_of(options)), list_(list) {}

  std::vector<Found> walk(fs::path const& top) {
    std::vector<Found> found;
    for (std::vector<fs::path> folders{top}; !folders.empty();) {
      auto const folder = std::move(folders.back());
      folders.pop_back();
      std::error_code why;
      fs::directory_iterator at(folder, why), end;
      for (; !why && at != end; at.increment(why)) {
        if (at->path().filename().string().starts_with('.')) continue;  // hidden, or what macOS keeps beside a file
        std::error_code ignored;
        // Links to folders are not followed: they may lead in circles.
        if (!at->is_symlink(ignored) && at->is_directory(ignored)) {
          if (options_.recursive && !is_output_folder(at->path(), options_)) folders.push_back(at->path());
        } else if (is_picture(*at)) {
          found.push_back({at->path(), folder.lexically_relative(top)});
        }
      }
      if (why) {
        list_.unreadable.push_back({folder.string(), Error(ErrorCode::input, "%s: the folder cannot be read: %s",
                                                           folder.string().c_str(), why.message().c_str())});
      }
    }
    std::sort(found.begin(), found.end(), [](Found const& a, Found const& b) { return a.file < b.file; });
    return found;
  }

 private:
  bool is_picture(fs::directory_entry const& entry) {
    if (!is_readable(extension_of(entry.path().string()))) return false;
    std::error_code unreachable;  // where reading it tells why
    if (!entry.is_regular_file(unreachable) && !unreachable && fs::exists(entry.path(), unreachable)) return false;
    bool const is_result = may_be_result(entry.path(), suffix_);
    list_.results += is_result;
    return !is_result;
  }

  FileOptions const& options_;
  std::string suffix_;
  WorkList& list_;
};

/// A name of something that is open already and that others reach by another name or by none.
bool is_descriptor(std::string const& path) {
  return path == standard_stream || path == "/dev/stdin" || path.starts_with("/dev/fd/") || path.starts_with("/proc/");
}

/// The extension for what a file's first bytes say, or for PNG where that is not written.
mirnet::Result<std::string> extension_by_content(fs::path const& path) {
  std::error_code ignored;
  if (auto const status = fs::status(path, ignored); fs::is_fifo(status) || fs::is_character_file(status)) {
    return Error(ErrorCode::invalid_argument,
                 "%s: the name says no format for the result, and a pipe is read but once; expected INPUT OUTPUT or "
                 "--format",
                 path.c_str());
  }
  auto const file = mirnet::InputFile::open(path.c_str(), ErrorCode::input);
  if (!file) return std::string("png");  // and there will be a sentence when it is read
  std::array<std::byte, 4096> buffer;
  auto const start = std::span(buffer).first(std::min<std::size_t>(buffer.size(), file->size()));
  auto const* const format = file->read(0, start) ? format_of(start) : nullptr;
  return std::string(traits(format == nullptr ? Format::png : format->result).extensions.front());
}

/// Where the result of a picture goes. Errors: invalid_argument, where nothing says its format.
mirnet::Result<fs::path> output_of(Found const& picture, FileOptions const& options) {
  auto const extension = extension_of(picture.file.filename().string());
  auto format = options.format.value_or(extension);
  if (!is_writable(format)) {
    auto found = extension_by_content(picture.file);
    if (!found) return found.error();
    format = *std::move(found);
  }
  auto result = picture.file.stem().string() + suffix_of(options);
  if (format == extension) {
    result += picture.file.extension().string();  // in capital letters, if it is
  } else {
    if (!extension.empty()) result += "." + extension;
    result += "." + format;
  }
  if (!options.output_folder) return picture.file.parent_path() / result;
  return fs::path(*options.output_folder) / (picture.inside == "." ? fs::path() : picture.inside) / result;
}

}  // namespace

std::string extension_of(std::string const& path) {
  auto extension = fs::path(path).extension().string();
  if (!extension.empty()) extension.erase(0, 1);
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension;
}

mirnet::Result<WorkList> list_work(FileOptions const& options) {
  bool const names_results = options.output_folder || options.suffix;
  auto const is_folder = [](std::string const& path) {
    std::error_code ignored;
    return fs::is_directory(path, ignored);
  };
  if (!names_results && options.files.size() == 2) {
    auto const& input = options.files[0];
    auto const& output = options.files[1];
    if (is_folder(input) || is_folder(output)) {
      return Error(ErrorCode::invalid_argument,
                   "%s: is a folder; expected INPUT OUTPUT, or --output-dir or --suffix for the results of many",
                   (is_folder(input) ? input : output).c_str());
    }
    return WorkList{{{input, output}}, {}};
  }
  if (!names_results && options.files.size() > 2) {
    return Error(ErrorCode::invalid_argument,
                 "%zu files; expected INPUT OUTPUT, or --output-dir or --suffix for the results of many",
                 options.files.size());
  }

  if (!names_results && options.files.size() == 1 && options.files[0] == standard_stream) {
    return WorkList{{{standard_stream, standard_stream}}, {}};
  }
  WorkList list;
  FolderWalk folders(options, list);
  std::vector<Found> pictures;
  for (auto const& file : options.files) {
    if (is_folder(file)) {
      // A pattern of the shell may have named the results with the photographs.
      if (options.files.size() > 1 && is_output_folder(file, options)) continue;
      auto const found = folders.walk(file);
      pictures.insert(pictures.end(), found.begin(), found.end());
    } else if (is_descriptor(file)) {
      return Error(ErrorCode::invalid_argument, "%s: has no name that a result could have; expected INPUT OUTPUT",
                   file.c_str());
    } else {
      pictures.push_back({file, {}});
    }
  }
  if (pictures.empty() && list.unreadable.size() == 1) return list.unreadable.front().why;
  if (pictures.empty() && list.unreadable.empty()) {
    return Error(ErrorCode::input, "%s: there are no pictures in it%s%s%s", options.files.front().c_str(),
                 list.results > 0 ? ", only results, whose names end in " : "",
                 list.results > 0 ? suffix_of(options).c_str() : "",
                 options.recursive ? "" : "; -r looks in the folders inside, too");
  }

  std::map<fs::path, fs::path> taken;  // result, input
  for (auto const& picture : pictures) {
    auto const output = output_of(picture, options);
    if (!output) return output.error();
    auto const [other, is_new] = taken.emplace(fs::absolute(*output).lexically_normal(), picture.file);
    if (!is_new) {
      return Error(ErrorCode::invalid_argument, "%s and %s: the result of both would be %s",
                   other->second.string().c_str(), picture.file.string().c_str(), output->string().c_str());
    }
    list.pictures.push_back({picture.file.string(), output->string()});
  }
  return list;
}

}  // namespace cli
