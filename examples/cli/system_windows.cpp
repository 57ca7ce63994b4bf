#include "system.hpp"

#include <cstdlib>

#include <fcntl.h>
#include <io.h>
#include <windows.h>

namespace cli {
namespace {

HANDLE handle_of(int stream) noexcept {
  constexpr DWORD names[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
  return ::GetStdHandle(names[stream]);
}

/// The settings of the console before this process changed them. They outlive a process.
struct Console {
  UINT code_page = 0;
  DWORD modes[3] = {};
  bool has_mode[3] = {};

  void restore() const noexcept {
    if (code_page != 0) ::SetConsoleOutputCP(code_page);
    for (int stream = 1; stream < 3; ++stream) {
      if (has_mode[stream]) ::SetConsoleMode(handle_of(stream), modes[stream]);
    }
  }
};
Console before;
bool was_closed[3] = {};

void prepare_console() noexcept {
  for (int stream = 1; stream < 3; ++stream) {
    before.has_mode[stream] = ::GetConsoleMode(handle_of(stream), &before.modes[stream]) != 0;
    if (!before.has_mode[stream]) continue;
    ::SetConsoleMode(handle_of(stream), before.modes[stream] | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    if (before.code_page == 0) {
      before.code_page = ::GetConsoleOutputCP();
      ::SetConsoleOutputCP(CP_UTF8);
    }
  }
  std::atexit([] { before.restore(); });
}

std::wstring wide_of(std::string_view text) {
  std::wstring wide(text.size(), L'\0');  // which UTF-16 never exceeds
  int const size = ::MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), wide.data(),
                                         static_cast<int>(wide.size()));
  wide.resize(static_cast<std::size_t>(size));
  return wide;
}

}  // namespace

std::filesystem::path path_of(std::string_view text) { return wide_of(text); }

std::string text_of(std::filesystem::path const& path) {
  auto const text = path.u8string();
  return {text.begin(), text.end()};
}

std::optional<std::string> environment(char const* name) {
  wchar_t const* const value = ::_wgetenv(wide_of(name).c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(text_of(value));
}

std::filesystem::path program_file() {
  std::wstring name(MAX_PATH, L'\0');
  for (;;) {
    auto const size = ::GetModuleFileNameW(nullptr, name.data(), static_cast<DWORD>(name.size()));
    if (size < name.size()) return name.substr(0, size);
    name.resize(2 * name.size());
  }
}

bool is_terminal(int stream) noexcept {
  DWORD mode = 0;
  return ::GetConsoleMode(handle_of(stream), &mode) != 0;
}

std::optional<int> terminal_columns(int stream) noexcept {
  CONSOLE_SCREEN_BUFFER_INFO about{};
  if (::GetConsoleScreenBufferInfo(handle_of(stream), &about) == 0) return {};
  return about.srWindow.Right - about.srWindow.Left + 1;
}

bool is_writable(int stream) noexcept { return !was_closed[stream]; }

// Access lists are what decides, and creating a file is the only way to ask them.
std::string why_not_writable(std::filesystem::path const&) { return {}; }

void prepare_process() noexcept {
  for (int stream = 0; stream < 3; ++stream) {
    was_closed[stream] = ::_get_osfhandle(stream) < 0;
    if (was_closed[stream]) static_cast<void>(::_open("NUL", _O_RDWR));
    ::_setmode(stream, _O_BINARY);
  }
  prepare_console();
}

void leave_at_once(std::string_view text, int exit_code) noexcept {
  static_cast<void>(!::_write(2, text.data(), static_cast<unsigned>(text.size())));
  before.restore();
  ::_exit(exit_code);
}

}  // namespace cli
