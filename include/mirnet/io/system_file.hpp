// The calls of the operating system that files are read and written with, under one name each on POSIX systems and on
// Windows. They tell what went wrong in errno. Paths are bytes; Windows takes them to be in the program's code page.
#pragma once

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <sys/stat.h>

#include <climits>
#include <cstdio>
#include <filesystem>
#include <system_error>
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <mirnet/base/integer.hpp>

namespace mirnet::inline MIRNET_ABI::detail::system {

#if defined(_WIN32)

using Status = struct _stat64;

inline bool status_of(char const* path, Status& status) noexcept { return ::_stat64(path, &status) == 0; }
inline bool status_of(int file, Status& status) noexcept { return ::_fstat64(file, &status) == 0; }

/// The file's number, or -1.
inline int open_to_read(char const* path) noexcept { return ::_open(path, _O_RDONLY | _O_BINARY | _O_NOINHERIT); }
/// A file that did not exist before.
inline int create(char const* path) noexcept {
  return ::_open(path, _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
}
inline bool close(int file) noexcept { return ::_close(file) == 0; }

/// Whether threads may read one file at the same time. Not here: reads move its position.
inline constexpr bool reads_side_by_side = false;
/// How many bytes were read or written, which may be fewer than asked for; -1 where it failed.
inline Index read_at(int file, std::byte* to, std::size_t size, std::uint64_t offset) noexcept {
  if (::_lseeki64(file, static_cast<long long>(offset), SEEK_SET) < 0) return -1;
  return ::_read(file, to, static_cast<unsigned>((std::min)(size, std::size_t{INT_MAX})));
}
inline Index write(int file, std::byte const* from, std::size_t size) noexcept {
  return ::_write(file, from, static_cast<unsigned>((std::min)(size, std::size_t{INT_MAX})));
}
/// Waits until the disk has what was written.
inline bool flush(int file) noexcept { return ::_commit(file) == 0; }

/// Gives a file a name that nothing has; false with EEXIST where something has it.
inline bool rename_to_new(char const* from, char const* to) noexcept { return std::rename(from, to) == 0; }
/// Gives a file a name, and takes it from the file that has it.
inline bool rename(char const* from, char const* to) noexcept {
  std::error_code error;
  std::filesystem::rename(from, to, error);
  if (error) errno = error.default_error_condition().value();
  return !error;
}
inline void remove(char const* path) noexcept { ::_unlink(path); }

inline int process_number() noexcept { return ::_getpid(); }
/// What stands between folders.
inline constexpr char separators[] = "/\\:";

inline bool is_regular(Status const& status) noexcept { return (status.st_mode & _S_IFMT) == _S_IFREG; }
inline char const* kind_of(Status const& status) noexcept {
  if ((status.st_mode & _S_IFMT) == _S_IFDIR) return "a folder";
  if ((status.st_mode & _S_IFMT) == _S_IFIFO) return "a pipe";
  return "a device";
}

#else

using Status = struct ::stat;

inline bool status_of(char const* path, Status& status) noexcept { return ::stat(path, &status) == 0; }
inline bool status_of(int file, Status& status) noexcept { return ::fstat(file, &status) == 0; }

/// The file's number, or -1. Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever.
inline int open_to_read(char const* path) noexcept { return ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); }
/// A file that did not exist before.
inline int create(char const* path) noexcept { return ::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); }
inline bool close(int file) noexcept { return ::close(file) == 0; }

/// Whether threads may read one file at the same time.
inline constexpr bool reads_side_by_side = true;
/// How many bytes were read or written, which may be fewer than asked for; -1 where it failed.
inline Index read_at(int file, std::byte* to, std::size_t size, std::uint64_t offset) noexcept {
  return ::pread(file, to, size, static_cast<off_t>(offset));
}
inline Index write(int file, std::byte const* from, std::size_t size) noexcept { return ::write(file, from, size); }
/// Waits until the disk has what was written.
inline bool flush(int file) noexcept { return ::fsync(file) == 0; }

inline bool rename(char const* from, char const* to) noexcept { return ::rename(from, to) == 0; }
inline void remove(char const* path) noexcept { ::unlink(path); }

/// Gives a file a name that nothing has; false with EEXIST where something has it.
inline bool rename_to_new(char const* from, char const* to) noexcept {
  if (::link(from, to) == 0) {
    remove(from);
    return true;
  }
  if (errno == EEXIST) return false;
  // A file system without hard links: claim the name with an empty file of ours, then replace that.
  int const claim = create(to);
  if (claim < 0) return false;
  close(claim);
  if (rename(from, to)) return true;
  auto const reason = errno;
  remove(to);
  errno = reason;
  return false;
}

inline int process_number() noexcept { return ::getpid(); }
/// What stands between folders.
inline constexpr char separators[] = "/";

inline bool is_regular(Status const& status) noexcept { return S_ISREG(status.st_mode); }
inline char const* kind_of(Status const& status) noexcept {
  if (S_ISDIR(status.st_mode)) return "a folder";
  if (S_ISFIFO(status.st_mode)) return "a pipe";
  if (S_ISSOCK(status.st_mode)) return "a socket";
  return "a device";
}

#endif

}  // namespace mirnet::inline MIRNET_ABI::detail::system
