#include "files.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "codecs/formats.hpp"
#include "naming.hpp"
#include "result_mark.hpp"
#include "system.hpp"

namespace fs = std::filesystem;

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;

bool is_readable(std::string_view extension) {
  auto const* const format = format_named(extension);
  return format != nullptr && is_read(*format);
}

bool is_folder(std::string const& path) {
  std::error_code ignored;
  return fs::is_directory(path_of(path), ignored);
}

/// What the arguments mean.
struct Request {
  std::vector<std::string> inputs;
  std::optional<std::string> file;    ///< of the result of the only input
  std::optional<std::string> folder;  ///< of all results
};

Error no_such_file(std::string const& path) {
  return {ErrorCode::input, "%s: cannot be opened: No such file or directory", path.c_str()};
}

bool is_missing(std::string const& path) {
  std::error_code unknown;
  auto const file = path_of(path);
  return !is_descriptor(path) && !fs::exists(file, unknown) && !unknown && !fs::is_symlink(file, unknown);
}

/// Whether a file is a photograph that mirnet has not made, so that replacing it would lose it.
bool is_precious(std::string const& output, std::string const& input) {
  std::error_code missing;
  auto const file = path_of(output);
  if (is_folder(output) || !fs::exists(file, missing) || fs::equivalent(path_of(input), file, missing)) return false;
  auto const* const format = format_of_file(file);
  return format != nullptr && format->holds.exif && !has_result_mark(file);
}

/// Refuses two photographs as input and output: a pattern of the shell may have named them.
mirnet::Result<void> check_pair(std::string const& input, std::string const& output) {
  if (is_missing(input)) return no_such_file(input);
  if (is_descriptor(output) || !is_precious(output, input)) return {};
  return Error(ErrorCode::output,
               "%s: already exists, and is no result of mirnet; to restore both, use --output-dir or --suffix; to "
               "replace it, use -o %s --overwrite",
               output.c_str(), output.c_str());
}

mirnet::Result<void> check_streams(Request const& request) {
  bool const reads = std::find(request.inputs.begin(), request.inputs.end(), standard_stream) != request.inputs.end();
  if (reads && is_terminal(0)) {
    return Error(ErrorCode::invalid_argument, "-: standard input is a terminal; redirect a photograph to it");
  }
  if (request.file == standard_stream && is_terminal(1)) {
    return Error(ErrorCode::invalid_argument, "-: standard output is a terminal; redirect it, or name an output file");
  }
  return {};
}

mirnet::Result<Request> understand(FileOptions const& options) {
  Request request{options.files, {}, options.output_folder};
  auto output = options.output;
  if (options.inputs_only) return request;
  bool const says_nothing = !output && !options.output_folder && !options.suffix;
  if (says_nothing && options.files.size() > 2 && is_missing(options.files.back())) {
    // A last name that ends in a slash is the target, as with cp.
    if (!ends_in_separator(options.files.back())) {
      return Error(ErrorCode::input,
                   "%s: no such file; of three names or more, all are inputs, and -o says where results go",
                   options.files.back().c_str());
    }
    output = options.files.back();
    request.inputs.pop_back();
  }
  bool const pair = options.files.size() == 2 && !output && !options.output_folder && !options.suffix;
  if (pair) {
    if (auto const checked = check_pair(options.files[0], options.files[1]); !checked) return checked.error();
    output = options.files[1];
    request.inputs.pop_back();
  }
  if (!output && request.inputs.size() == 1 && request.inputs[0] == standard_stream && !options.output_folder &&
      !options.suffix) {
    output = standard_stream;
  }
  if (!output) return request;
  bool const to_folder = *output != standard_stream &&
                         (names_folder(*output) || request.inputs.size() > 1 || is_folder(request.inputs.front()));
  if (*output == standard_stream && (request.inputs.size() > 1 || is_folder(request.inputs.front()))) {
    return Error(ErrorCode::invalid_argument,
                 "the standard output takes the result of one photograph; use --output-dir");
  }
  (to_folder ? request.folder : request.file) = *std::move(output);
  if (auto const checked = check_streams(request); !checked) return checked.error();
  return request;
}

/// A picture, and the folders between the folder that was named and itself.
struct Found {
  fs::path file, inside;
  std::optional<fs::path> folder;  ///< for its result
  std::string suffix;
};

/// The pictures in a folder, and in those inside of it if that is wanted, in the order of their names.
class FolderWalk {
 public:
  FolderWalk(FileOptions const& options, std::vector<fs::path> output_folders, WorkList& list)
      : options_(options), output_folders_(std::move(output_folders)), list_(list) {}

  bool is_output_folder(fs::path const& folder) const {
    return std::any_of(output_folders_.begin(), output_folders_.end(), [&](fs::path const& output) {
      std::error_code missing;
      return fs::equivalent(folder, output, missing);
    });
  }

  std::vector<Found> walk(fs::path const& top) {
    std::vector<Found> found;
    for (std::vector<fs::path> folders{top}; !folders.empty();) {
      auto const folder = std::move(folders.back());
      folders.pop_back();
      std::error_code why;
      fs::directory_iterator at(folder, why), end;
      for (; !why && at != end; at.increment(why)) {
        if (text_of(at->path().filename()).starts_with('.')) continue;  // hidden, or what macOS keeps beside a file
        std::error_code ignored;
        // Links to folders are not followed: they may lead in circles.
        if (!at->is_symlink(ignored) && at->is_directory(ignored)) {
          if (is_output_folder(at->path())) continue;
          if (options_.recursive) {
            folders.push_back(at->path());
          } else {
            ++list_.subfolders;
          }
        } else if (is_picture(*at)) {
          found.push_back({at->path(), folder.lexically_relative(top), {}, {}});
        }
      }
      if (why) {
        list_.unreadable.push_back({text_of(folder), Error(ErrorCode::input, "%s: the folder cannot be read: %s",
                                                           text_of(folder).c_str(), why.message().c_str())});
      }
    }
    std::sort(found.begin(), found.end(), [](Found const& a, Found const& b) { return a.file < b.file; });
    return found;
  }

 private:
  bool is_picture(fs::directory_entry const& entry) {
    if (!is_readable(extension_of(text_of(entry.path())))) {
      ++list_.others;
      return false;
    }
    std::error_code unreachable;  // where reading it tells why
    if (!entry.is_regular_file(unreachable) && !unreachable && fs::exists(entry.path(), unreachable)) return false;
    if (options_.include_results) return true;
    bool const is_result = may_be_result_name(entry.path(), options_.usual_suffix) ||
                           may_be_result_name(entry.path(), options_.suffix.value_or("")) ||
                           has_result_mark(entry.path());
    list_.results += is_result;
    return !is_result;
  }

  FileOptions const& options_;
  std::vector<fs::path> output_folders_;
  WorkList& list_;
};

/// Where the results of each folder that was named go, in the order of the inputs; nothing for what is no folder, and
/// where they go beside their pictures.
mirnet::Result<std::vector<std::optional<fs::path>>> output_folders(Request const& request,
                                                                    FileOptions const& options) {
  std::vector<std::optional<fs::path>> folders;
  for (auto const& input : request.inputs) {
    std::optional<fs::path> folder;
    if (request.folder) {
      folder = path_of(*request.folder);
    } else if (!options.suffix && !options.inputs_only && is_folder(input)) {
      auto made = result_folder(path_of(input), options.usual_suffix);
      if (!made) return made.error();
      folder = *std::move(made);
    }
    folders.push_back(std::move(folder));
  }
  return folders;
}

}  // namespace

mirnet::Result<WorkList> list_work(FileOptions const& options) {
  auto const request = understand(options);
  if (!request) return request.error();
  if (request->file) return WorkList{{{request->inputs.front(), *request->file}}, {}};

  auto const targets = output_folders(*request, options);
  if (!targets) return targets.error();
  std::vector<fs::path> known;
  for (auto const& target : *targets) {
    if (target) known.push_back(*target);
  }
  WorkList list;
  FolderWalk folders(options, std::move(known), list);
  std::vector<Found> pictures;
  for (std::size_t i = 0; i < request->inputs.size(); ++i) {
    auto const& input = request->inputs[i];
    auto const& target = (*targets)[i];
    if (is_folder(input)) {
      // A pattern of the shell may have named the results with the photographs.
      if (request->inputs.size() > 1 && folders.is_output_folder(path_of(input))) continue;
      for (auto& found : folders.walk(path_of(input))) {
        found.folder = target;
        found.suffix = options.suffix.value_or("");
        pictures.push_back(std::move(found));
      }
    } else if (options.inputs_only) {
      pictures.push_back({path_of(input), {}, {}, {}});
    } else if (is_descriptor(input)) {
      return Error(ErrorCode::invalid_argument, "%s: the result of a stream has no name; use INPUT OUTPUT",
                   input.c_str());
    } else {
      pictures.push_back({path_of(input), {}, target, options.suffix.value_or(target ? "" : options.usual_suffix)});
    }
  }
  if (pictures.empty() && list.unreadable.size() == 1) return list.unreadable.front().why;
  if (pictures.empty() && list.unreadable.empty()) {
    if (list.results > 0) {
      return Error(ErrorCode::input,
                   "%s: contains only results of earlier runs; --include-results takes them as inputs",
                   request->inputs.front().c_str());
    }
    return Error(ErrorCode::input, "%s: contains no photographs%s", request->inputs.front().c_str(),
                 options.recursive ? "" : "; -r includes subfolders");
  }

  if (options.inputs_only) {
    for (auto const& picture : pictures) list.pictures.push_back({text_of(picture.file), {}});
    return list;
  }
  std::map<fs::path, fs::path> taken;  // result, input
  for (auto const& picture : pictures) {
    auto const name = result_name(picture.file, {picture.suffix, options.format, options.keep_extension});
    if (!name) return name.error();
    auto const inside = picture.inside.empty() || picture.inside == "." ? fs::path() : picture.inside;
    auto const output = (picture.folder ? *picture.folder / inside : picture.file.parent_path()) / path_of(*name);
    auto const [other, is_new] = taken.emplace(name_on_disk(fs::absolute(output).lexically_normal()), picture.file);
    if (!is_new) {
      bool const same_name = other->second.filename() == picture.file.filename();
      return Error(ErrorCode::invalid_argument, "%s and %s have the same result, %s; %s",
                   text_of(other->second).c_str(), text_of(picture.file).c_str(), text_of(output).c_str(),
                   same_name ? "restore them with different --output-dir" : "use --keep-extension");
    }
    Work work{text_of(picture.file), text_of(output)};
    if (picture.folder) work.output_folder = text_of(*picture.folder);
    list.pictures.push_back(std::move(work));
  }
  return list;
}

mirnet::Result<void> check_output_folders(WorkList const& work) {
  std::set<std::string> seen;
  for (auto const& picture : work.pictures) {
    if (!picture.output_folder || !seen.insert(*picture.output_folder).second) continue;
    // The folder, or the first one above it that is there.
    auto folder = fs::absolute(path_of(*picture.output_folder)).lexically_normal();
    std::error_code ignored;
    while (folder.has_relative_path() && !fs::exists(folder, ignored)) folder = folder.parent_path();
    if (!fs::is_directory(folder, ignored)) {
      return Error(ErrorCode::output, "%s: cannot create this folder for the results: %s is a file; use another folder",
                   picture.output_folder->c_str(), text_of(folder).c_str());
    }
    if (auto const why = why_not_writable(folder); !why.empty()) {
      return Error(ErrorCode::output, "%s: cannot write results to this folder: %s; use another with --output-dir",
                   picture.output_folder->c_str(), why.c_str());
    }
  }
  return {};
}

}  // namespace cli
