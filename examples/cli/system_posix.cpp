#include "system.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace cli {
namespace {

void occupy_closed_streams() noexcept {
  struct Stream {
    int number, mode;
  };
  for (auto const& [number, mode] :
       {Stream{STDIN_FILENO, O_WRONLY}, Stream{STDOUT_FILENO, O_RDONLY}, Stream{STDERR_FILENO, O_WRONLY}}) {
    if (::fcntl(number, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest number that is free is this one. What a system without /dev/null always has can be neither read nor
    // written.
    if (::open("/dev/null", mode) < 0) static_cast<void>(::open("/", O_RDONLY));
  }
}

}  // namespace

std::filesystem::path path_of(std::string_view text) { return text; }
std::string text_of(std::filesystem::path const& path) { return path.string(); }

std::filesystem::path name_on_disk(std::filesystem::path const& path) { return path; }

std::optional<std::string> environment(char const* name) {
  char const* const value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::filesystem::path program_file() {
  std::error_code failed;
  auto file = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? std::filesystem::path() : file;
}

bool is_terminal(int stream) noexcept { return ::isatty(stream) != 0; }

std::optional<int> terminal_columns(int stream) noexcept {
  winsize size{};
  if (::isatty(stream) == 0 || ::ioctl(stream, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return size.ws_col;
}

bool is_writable(int stream) noexcept {
  auto const flags = ::fcntl(stream, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

std::string why_not_writable(std::filesystem::path const& folder) {
  return ::access(folder.c_str(), W_OK | X_OK) == 0 ? "" : std::strerror(errno);
}

void prepare_process() noexcept {
  occupy_closed_streams();
  std::signal(SIGXFSZ, SIG_IGN);
}

void on_interrupt(void (*handler)(int)) noexcept {
  for (int const number : {SIGINT, SIGTERM}) {
    if (std::signal(number, handler) == SIG_IGN) std::signal(number, SIG_IGN);
  }
}

void after_interrupt(int, void (*)(int)) noexcept {}

void leave_at_once(std::string_view text, int exit_code) noexcept {
  static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
  ::_exit(exit_code);
}

}  // namespace cli
