#include "plugins.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>

#if !defined(_WIN32)
#include <fcntl.h>
#include <unistd.h>
#endif

#include "decoder.hpp"
#include "system.hpp"

namespace cli {

using mirnet::Error;
using mirnet::ErrorCode;

#if defined(_WIN32)

std::string find_plugin(char const*) { return {}; }

#else

std::string find_plugin(char const* name) {
  auto const program = program_file();
  if (program.empty()) return {};
  auto const folder = program.parent_path();
  for (auto const& path : {folder / name, folder / ".." / "libexec" / "mirnet" / name}) {
    if (::access(path.c_str(), X_OK) == 0) return path.string();
  }
  return {};
}

Error become_plugin(FormatTraits const& format, DecodingTask task, std::span<std::byte const> start) {
  auto path = find_plugin(format.plugin);
  if (path.empty()) {
    return {ErrorCode::input,
            "%s: is a picture in %s, which the plug-in %s decodes; it is not installed beside the program "
            "(CMake's option for it is MIRNET_HEIC)",
            task.name.c_str(), format.name, format.plugin};
  }
  auto pipe = pipe_with(start);
  if (!pipe) return pipe.error();
  if (::dup2(pipe->get(), start_of_file) < 0 || ::fcntl(start_of_file, F_SETFD, 0) != 0) {
    return {ErrorCode::internal, "%s: cannot duplicate a descriptor for decoding: %s", task.name.c_str(),
            std::strerror(errno)};
  }
  task.has_start = true;
  auto arguments = arguments_of(task);
  std::string program = format.plugin;
  std::vector<char*> pointers = {program.data()};
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  ::execv(path.c_str(), pointers.data());
  return {ErrorCode::input,  "%s: is a picture in %s, and its plug-in %s cannot be started: %s",
          task.name.c_str(), format.name,
          path.c_str(),      std::strerror(errno)};
}

#endif

std::string why_not_read(FormatTraits const& format) {
  if (format.plugin != nullptr) {
    if constexpr (!can_decode_apart) return "plug-ins work on Linux only";
    return find_plugin(format.plugin).empty() ? std::string("the plug-in ") + format.plugin + " is not installed" : "";
  }
  if (format.decode == nullptr) return std::string("built without ") + format.library;
  bool const loads = format.load == nullptr || format.load("").ok();
  return loads ? "" : std::string("no ") + format.library + " of the version it was built with";
}

}  // namespace cli
