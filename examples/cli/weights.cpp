#include "weights.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>

#include <mirnet/io/file.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "system.hpp"

namespace fs = std::filesystem;

extern "C" unsigned char const mirnet_builtin_weights[], mirnet_builtin_weights_end[];

namespace cli {
namespace {

/// The folder of the program's file, links resolved; empty where that cannot be told.
fs::path program_folder() {
  if (auto const file = program_file(); !file.empty()) return file.parent_path();
  // What a shell finds by the name, which is right unless the caller made it up.
  std::error_code failed;
  auto const name = path_of(program_name);
  if (name.has_parent_path()) return fs::canonical(name, failed).parent_path();
  std::istringstream folders(environment("PATH").value_or(""));
  for (std::string folder; std::getline(folders, folder, ':');) {
    auto const found = fs::canonical(path_of(folder) / name, failed);
    if (!failed) return found.parent_path();
  }
  return {};
}

/// Where weight files lie that are not compiled in, the first place first.
std::vector<fs::path> weights_folders() {
  std::vector<fs::path> folders;
  if (auto const folder = program_folder(); !folder.empty()) {
    folders = {folder, folder.parent_path() / "share" / "mirnet"};
  }
  auto const configured = path_of(MIRNET_INSTALLED_WEIGHTS_DIR);
  if (std::find(folders.begin(), folders.end(), configured) == folders.end()) folders.push_back(configured);
  return folders;
}

/// "a, b or c".
std::string alternatives(std::vector<fs::path> const& paths) {
  std::string text;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (i > 0) text += i + 1 < paths.size() ? ", " : " or ";
    text += text_of(paths[i]);
  }
  return text;
}

}  // namespace

void add_model(CLI::App& command, CLI::Option& file_option, WeightsOptions& options) {
  options.file_option = file_option.get_name();
  command
      .add_option("--model", options.model,
                  "weights: standard (default, built in), high (a larger and slower network), or those of an older "
                  "version, such as 0.1; all but standard are files beside the program, installed, or in the folder "
                  "MIRNET_WEIGHTS")
      ->type_name("standard|high|VERSION")
      ->excludes(&file_option);
}

void warn_of_old_quality(std::string const& model) {
  std::fprintf(stderr,
               "mirnet: warning: --quality %s is now --model %s, and will not be recognised in the next version\n",
               model.c_str(), model.c_str());
}

void add_old_quality(CLI::App& command, WeightsOptions& options) {
  auto* const old = command.add_option_function<std::string>("--quality", [&options](std::string const& model) {
    warn_of_old_quality(model);
    options.model = model;
  });
  take_one_of(*old, {"standard", "high"});
  old->group("");  // hidden
}

mirnet::Result<std::optional<std::string>> find_weights(WeightsOptions const& options) {
  if (options.file || options.model == "standard") return options.file;
  bool const is_name = !options.model.empty() && std::all_of(options.model.begin(), options.model.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
           c == '_';
  });
  if (!is_name) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                         "--model: must be standard, high or a version such as 0.1, not \"%s\"; %s takes a file",
                         options.model.c_str(), options.file_option.c_str());
  }
  auto const file = "denoise-" + (options.model == "high" ? std::string("large") : options.model) + ".mirw";
  // A user who names a folder wants the weights that are there, and never others.
  auto const named = environment("MIRNET_WEIGHTS").value_or("");
  bool const is_named = !named.empty();
  auto const folders = is_named ? std::vector<fs::path>{path_of(named)} : weights_folders();
  for (auto const& folder : folders) {
    auto const path = folder / file;
    std::error_code ignored;  // a file that cannot be reached is found: loading it tells why
    if (fs::status(path, ignored).type() != fs::file_type::not_found) return std::optional(text_of(path));
  }
  // The places come last: where their names are too long for an error, these are what is cut.
  return mirnet::Error(mirnet::ErrorCode::model,
                       "--model %s: cannot find the file %s; set MIRNET_WEIGHTS to its folder, or give its path as %s; "
                       "it is not in %s%s",
                       options.model.c_str(), file.c_str(), options.file_option.c_str(), alternatives(folders).c_str(),
                       is_named ? ", which MIRNET_WEIGHTS names" : "");
}

std::string name_of(WeightsOptions const& options) {
  return options.file ? text_of(path_of(*options.file).filename()) : options.model;
}

std::string weights_checksum(std::optional<std::string> const& path) {
  constexpr std::size_t at = 32;  // weights/README.md, "Header"
  std::array<std::byte, 4> bytes{};
  if (path) {
    auto const file = mirnet::InputFile::open(path->c_str(), mirnet::ErrorCode::model);
    if (!file || !file->read(at, bytes)) return {};
  } else {
    std::copy_n(builtin_weights().begin() + at, bytes.size(), bytes.begin());
  }
  return format("%08lx", static_cast<unsigned long>(mirnet::load_little<std::uint32_t>(bytes.data())));
}

std::span<std::byte const> builtin_weights() {
  return std::as_bytes(std::span(mirnet_builtin_weights, mirnet_builtin_weights_end));
}

}  // namespace cli
