#include "system.hpp"

#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <io.h>
#include <windows.h>

namespace cli {
namespace {

/// The streams as this process got them, and the settings of their console before it changed them, which outlive a
/// process. Handles of its own: others come and go with the descriptors.
struct Streams {
  HANDLE handles[3] = {};
  bool was_closed[3] = {};
  bool is_console[3] = {};
  DWORD modes[3] = {};
  UINT code_page = 0;

  void restore() const noexcept {
    if (code_page != 0) ::SetConsoleOutputCP(code_page);
    for (int stream = 1; stream < 3; ++stream) {
      if (is_console[stream]) ::SetConsoleMode(handles[stream], modes[stream]);
    }
  }
};
Streams streams;

void prepare_stream(int stream) noexcept {
  constexpr DWORD names[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
  auto const process = ::GetCurrentProcess();
  auto& handle = streams.handles[stream];
  if (::DuplicateHandle(process, ::GetStdHandle(names[stream]), process, &handle, 0, FALSE, DUPLICATE_SAME_ACCESS) ==
      0) {
    handle = INVALID_HANDLE_VALUE;
  }
  streams.is_console[stream] = ::GetConsoleMode(handle, &streams.modes[stream]) != 0;
  if (stream == 0 || !streams.is_console[stream]) return;
  ::SetConsoleMode(handle, streams.modes[stream] | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
  if (streams.code_page == 0) {
    streams.code_page = ::GetConsoleOutputCP();
    ::SetConsoleOutputCP(CP_UTF8);
  }
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

// Names may have halves of pairs of surrogates, which no UTF-8 has: they come out as U+FFFD.
std::string text_of(std::filesystem::path const& path) {
  auto const& wide = path.native();
  std::string text(3 * wide.size(), '\0');
  int const size = ::WideCharToMultiByte(CP_UTF8, 0, wide.data(), static_cast<int>(wide.size()), text.data(),
                                         static_cast<int>(text.size()), nullptr, nullptr);
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::filesystem::path name_on_disk(std::filesystem::path const& path) {
  auto wide = path.native();
  ::CharLowerBuffW(wide.data(), static_cast<DWORD>(wide.size()));
  return wide;
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

bool is_terminal(int stream) noexcept { return streams.is_console[stream]; }

std::optional<int> terminal_columns(int stream) noexcept {
  CONSOLE_SCREEN_BUFFER_INFO about{};
  if (::GetConsoleScreenBufferInfo(streams.handles[stream], &about) == 0) return {};
  return about.srWindow.Right - about.srWindow.Left + 1;
}

bool is_writable(int stream) noexcept { return !streams.was_closed[stream]; }

// Access lists are what decides, and creating a file is the only way to ask them.
std::string why_not_writable(std::filesystem::path const&) { return {}; }

void prepare_process() noexcept {
  for (int stream = 0; stream < 3; ++stream) {
    prepare_stream(stream);
    streams.was_closed[stream] = ::_get_osfhandle(stream) < 0;
    if (streams.was_closed[stream]) static_cast<void>(::_open("NUL", _O_RDWR));
    ::_setmode(stream, _O_BINARY);
  }
  std::atexit([] { streams.restore(); });
}

void leave_at_once(std::string_view text, int exit_code) noexcept {
  DWORD written = 0;
  auto const handle = streams.handles[2] == nullptr ? ::GetStdHandle(STD_ERROR_HANDLE) : streams.handles[2];
  ::WriteFile(handle, text.data(), static_cast<DWORD>(text.size()), &written, nullptr);
  streams.restore();
  ::_exit(exit_code);
}

void on_interrupt(void (*handler)(int)) noexcept {
  for (int const number : {SIGINT, SIGTERM, SIGBREAK}) std::signal(number, handler);
}

// Here a handler is a thread: the process ends when it has come back from the close of a console.
void after_interrupt(int number, void (*handler)(int)) noexcept {
  std::signal(number, handler);  // the C library has taken it back
  if (number == SIGBREAK) ::Sleep(INFINITE);
}

}  // namespace cli
