// What the program asks the operating system for, under one name on POSIX systems (system_posix.cpp) and on Windows
// (system_windows.cpp). Its strings are bytes on POSIX systems and UTF-8 on Windows, names of files and arguments among
// them; std::filesystem would take them to be in the code page there.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace cli {

std::filesystem::path path_of(std::string_view text);
std::string text_of(std::filesystem::path const& path);

/// What is the same for two paths that name one file, as far as letters tell: in small letters on Windows.
std::filesystem::path name_on_disk(std::filesystem::path const& path);

/// A variable of the environment; nothing where it is not set.
std::optional<std::string> environment(char const* name);

/// The program's own file, links resolved; empty where the system does not tell.
std::filesystem::path program_file();

/// Whether a stream, 0 to 2, is a terminal, which on Windows is a console.
bool is_terminal(int stream) noexcept;

/// The width of the terminal; nothing where the stream is none.
std::optional<int> terminal_columns(int stream) noexcept;

/// Whether a stream was open for writing when the process began.
bool is_writable(int stream) noexcept;

/// Why no file can be created in a folder; empty where nothing forbids it.
std::string why_not_writable(std::filesystem::path const& folder);

/// Makes the streams and signals of this process what the program expects. Closed streams are given to the null device:
/// the next file or pipe that is opened would get the number of one, and would be read or written as the standard
/// stream. A file that may not grow further is an error, as a full disk is. On Windows, streams are binary and a
/// console takes UTF-8 and the escape sequences of other terminals, until the program ends. To be called before
/// anything is opened.
void prepare_process() noexcept;

/// Calls `handler` with the signal's number when somebody interrupts the program, ends it or, on Windows, closes its
/// console. Where the program was started so that it ignores a signal (nohup, a shell's background), it stays ignored.
void on_interrupt(void (*handler)(int)) noexcept;

/// What such a handler ends with where the program goes on for a moment.
void after_interrupt(int number, void (*handler)(int)) noexcept;

/// Ends the process without running what is registered for its end, with `text` on the standard error. For handlers of
/// signals, and where no memory is left.
[[noreturn]] void leave_at_once(std::string_view text, int exit_code) noexcept;

}  // namespace cli
