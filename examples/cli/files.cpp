#include "files.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>

#include "codecs/formats.hpp"

namespace fs = std::filesystem;

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;

bool is_readable(std::string_view extension) {
  auto const* const format = format_named(extension);
  return format != nullptr && format->decode != nullptr;
}
/// The extension of results of pictures with an extension that results do not have.
std::string usual_extension(std::string_view extension) {
  auto const* const format = format_named(extension);
  return std::string(traits(format == nullptr ? Format::png : format->result).extensions.front());
}
bool is_writable(std::string_view extension) {
  auto const* const format = format_named(extension);
  return format != nullptr && format->encode != nullptr;
}

/// A picture, and the folders between the folder that was named and itself.
struct Found {
  fs::path file, inside;
};

mirnet::Result<std::vector<Found>> pictures_in(fs::path const& folder, bool recursive) {
  std::vector<Found> found;
  auto const failed = [&](std::error_code const& why) {
    return Error(ErrorCode::input, "%s: the folder cannot be read: %s", folder.string().c_str(), why.message().c_str());
  };
  std::error_code why;
  auto const add = [&](fs::directory_entry const& entry) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored) && is_readable(extension_of(entry.path().string()))) {
      found.push_back({entry.path(), entry.path().parent_path().lexically_relative(folder)});
    }
  };
  if (recursive) {
    // Links to folders are not followed: they may lead in circles.
    fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, why), end;
    for (; !why && at != end; at.increment(why)) add(*at);
  } else {
    fs::directory_iterator at(folder, why), end;
    for (; !why && at != end; at.increment(why)) add(*at);
  }
  if (why) return failed(why);
  std::sort(found.begin(), found.end(), [](Found const& a, Found const& b) { return a.file < b.file; });
  return found;
}

/// Where the result of a picture goes.
fs::path output_of(Found const& picture, FileOptions const& options) {
  auto const name = picture.file.filename().string();
  auto const extension = extension_of(name);
  auto const stem = picture.file.stem().string();
  auto const suffix = options.suffix.value_or(options.output_folder ? "" : "-clean");
  auto const format = options.format           ? *options.format
                      : is_writable(extension) ? extension
                                               : usual_extension(extension);
  auto result = stem + suffix;
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

mirnet::Result<std::vector<Work>> list_work(FileOptions const& options) {
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
    return std::vector<Work>{{input, output}};
  }
  if (!names_results && options.files.size() > 2) {
    return Error(ErrorCode::invalid_argument,
                 "%zu files; expected INPUT OUTPUT, or --output-dir or --suffix for the results of many",
                 options.files.size());
  }

  std::vector<Found> pictures;
  for (auto const& file : options.files) {
    if (file == standard_stream) {
      if (options.files.size() > 1 || names_results) {
        return Error(ErrorCode::invalid_argument,
                     "-: the standard input has no name that a result could have; "
                     "expected INPUT OUTPUT");
      }
      return std::vector<Work>{{standard_stream, standard_stream}};
    }
    if (!is_folder(file)) {
      pictures.push_back({file, {}});
      continue;
    }
    auto found = pictures_in(file, options.recursive);
    if (!found) return found.error();
    pictures.insert(pictures.end(), found->begin(), found->end());
  }
  if (pictures.empty()) {
    return Error(ErrorCode::input, "%s: there are no pictures in it%s", options.files.front().c_str(),
                 options.recursive ? "" : "; -r looks in the folders inside, too");
  }

  std::vector<Work> work;
  std::map<fs::path, fs::path> taken;  // result, input
  for (auto const& picture : pictures) {
    auto const output = output_of(picture, options);
    auto const [other, is_new] = taken.emplace(fs::absolute(output).lexically_normal(), picture.file);
    if (!is_new) {
      return Error(ErrorCode::invalid_argument, "%s and %s: the result of both would be %s",
                   other->second.string().c_str(), picture.file.string().c_str(), output.string().c_str());
    }
    work.push_back({picture.file.string(), output.string()});
  }
  return work;
}

}  // namespace cli
