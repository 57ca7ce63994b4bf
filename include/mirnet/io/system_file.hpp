// The calls of the operating system that files are read and written with, under one name each on POSIX systems and on
// Windows. They set errno. Paths are bytes, in UTF-8 on Windows, whatever the code page of the program is.
#pragma once

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <sys/stat.h>

#include <climits>
#include <memory>
#include <new>
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sys/xattr.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include <mirnet/base/integer.hpp>

#if defined(_WIN32)
// As <windows.h> declares them, whose macros are left to those who want them.
extern "C" {
__declspec(dllimport) unsigned long __stdcall GetLastError(void);
__declspec(dllimport) int __stdcall MoveFileExW(wchar_t const*, wchar_t const*, unsigned long);
__declspec(dllimport) int __stdcall MultiByteToWideChar(unsigned, unsigned long, char const*, int, wchar_t*, int);
}
#endif

namespace mirnet::inline MIRNET_ABI::detail::system {

#if defined(_WIN32)

/// A path as the wide functions of Windows take it. Null, with errno set, where it is not UTF-8 or memory is missing.
class WidePath {
 public:
  explicit WidePath(char const* path) noexcept {
    constexpr unsigned utf8 = 65001;
    constexpr unsigned long refuse_other_bytes = 8;
    int const size = ::MultiByteToWideChar(utf8, refuse_other_bytes, path, -1, nullptr, 0);
    if (size > 0) text_.reset(new (std::nothrow) wchar_t[static_cast<std::size_t>(size)]);
    if (text_) ::MultiByteToWideChar(utf8, refuse_other_bytes, path, -1, text_.get(), size);
    if (!text_) errno = size > 0 ? ENOMEM : EILSEQ;
  }
  explicit operator bool() const noexcept { return text_ != nullptr; }
  wchar_t const* get() const noexcept { return text_.get(); }

 private:
  std::unique_ptr<wchar_t[]> text_;
};

using Status = struct _stat64;

inline bool status_of(char const* path, Status& status) noexcept {
  WidePath const wide(path);
  return wide && ::_wstat64(wide.get(), &status) == 0;
}
inline bool status_of(int file, Status& status) noexcept { return ::_fstat64(file, &status) == 0; }
/// Of what has the name itself, be it a link.
inline bool status_of_name(char const* path, Status& status) noexcept { return status_of(path, status); }

/// The file's number, or -1.
inline int open_to_read(char const* path) noexcept {
  WidePath const wide(path);
  return wide ? ::_wopen(wide.get(), _O_RDONLY | _O_BINARY | _O_NOINHERIT) : -1;
}
/// A file that did not exist before.
inline int create(char const* path, [[maybe_unused]] bool is_private = false) noexcept {
  WidePath const wide(path);
  return wide ? ::_wopen(wide.get(), _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE)
              : -1;
}
/// Below. Here a file has the rights that its folder gives it.
inline void copy_rights(char const*, Status const&, int, std::span<std::byte>) noexcept {}
inline char const* obstacle(char const*, Status const&, Status const&) noexcept { return nullptr; }
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

/// Moves a file within its volume, with errno set where that fails.
inline bool move_file(char const* from, char const* to, unsigned long flags) noexcept {
  WidePath const old_name(from), new_name(to);
  if (!old_name || !new_name) return false;
  if (::MoveFileExW(old_name.get(), new_name.get(), flags) != 0) return true;
  switch (::GetLastError()) {
    case 2:                         // no such file
    case 3: errno = ENOENT; break;  // no such folder
    case 80:                        // the file exists
    case 183: errno = EEXIST; break;
    case 112: errno = ENOSPC; break;
    default: errno = EACCES;  // open in another program, read-only, a folder
  }
  return false;
}
/// Gives a file a name that nothing has; false with EEXIST where something has it.
inline bool rename_to_new(char const* from, char const* to) noexcept { return move_file(from, to, 0); }
/// Gives a file a name, and takes it from the file that has it.
inline bool rename(char const* from, char const* to) noexcept {
  constexpr unsigned long replace = 1;
  return move_file(from, to, replace);
}
inline void remove(char const* path) noexcept {
  WidePath const wide(path);
  if (wide) ::_wunlink(wide.get());
}

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
/// Of what has the name itself, be it a link.
inline bool status_of_name(char const* path, Status& status) noexcept { return ::lstat(path, &status) == 0; }

/// The file's number, or -1. Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever.
inline int open_to_read(char const* path) noexcept { return ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); }
/// A file that did not exist before. A private one is for its owner alone; others have the usual rights.
inline int create(char const* path, bool is_private = false) noexcept {
  return ::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_private ? 0600 : 0666);
}
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

#if defined(__linux__)
inline constexpr char access_list[] = "system.posix_acl_access";
#endif

/// Gives a private file of ours the owner, group, mode and access list of the file at `path`, as far as the system lets
/// us, and never more rights to anybody. `space` is for copy_attributes, which comes before.
inline void copy_rights([[maybe_unused]] char const* path, Status const& status, int file,
                        [[maybe_unused]] std::span<std::byte> space) noexcept {
  bool const has_owner = ::fchown(file, status.st_uid, status.st_gid) == 0;
  bool const has_group = has_owner || ::fchown(file, static_cast<uid_t>(-1), status.st_gid) == 0;
  bool has_list = false;
#if defined(__linux__)
  ::fremovexattr(file, access_list);  // which a folder may give to all new files in it
  has_list = ::getxattr(path, access_list, nullptr, 0) > 0;
#endif
  auto mode = static_cast<unsigned>(status.st_mode) & (has_owner ? 07777u : 0777u);
  // The rights are another group's, or the most of what an access list gives: what everybody may do is left.
  if (!has_group || has_list) mode &= ~070u | (mode & 07u) << 3;
  static_cast<void>(::fchmod(file, static_cast<mode_t>(mode)));
#if defined(__linux__)
  if (!has_group || !has_list) return;
  auto const size = ::getxattr(path, access_list, space.data(), space.size());
  if (size > 0) static_cast<void>(::fsetxattr(file, access_list, space.data(), static_cast<std::size_t>(size), 0));
#endif
}

/// Why the file at `path` cannot be replaced though files can be created in its folder; null where nothing is known.
inline char const* obstacle([[maybe_unused]] char const* path, Status const& file, Status const& folder) noexcept {
#if defined(STATX_ATTR_MOUNT_ROOT) && (!defined(__ANDROID_API__) || __ANDROID_API__ >= 30)
  struct ::statx about {};
  if (::statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &about) == 0) {
    if ((about.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) return "it is mounted as a single file";
    if ((about.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0) return "it is marked as unchangeable";
  }
#endif
  auto const user = ::geteuid();
  bool const owners_only = (folder.st_mode & S_ISVTX) != 0;
  if (owners_only && user != 0 && user != file.st_uid && user != folder.st_uid) {
    return "in this folder only its owner may do that";
  }
  return nullptr;
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

#if defined(__linux__)

/// The bytes that copy_attributes and copy_rights want for a file; 0 where it has no attributes.
inline std::size_t attribute_space(char const* path) noexcept {
  constexpr std::size_t most = 1 << 16;  // of the names together, and of one value: the kernel's limits
  return ::listxattr(path, nullptr, 0) > 0 ? 2 * most : 0;
}

/// Gives a file of ours the extended attributes of the file at `path` that users set, and its security label. Others
/// describe the content or belong to the file system.
inline void copy_attributes(char const* path, int file, std::span<std::byte> space) noexcept {
  if (space.empty()) return;
  auto const value = space.first(space.size() / 2), rest = space.subspan(space.size() / 2);
  auto* const names = reinterpret_cast<char*>(rest.data());
  auto const length = ::listxattr(path, names, rest.size());
  for (char const* name = names; length > 0 && name < names + length; name += std::strlen(name) + 1) {
    std::string_view const text(name);
    if (!text.starts_with("user.") && text != "security.selinux" && text != "system.nfs4_acl") continue;
    auto const size = ::getxattr(path, name, value.data(), value.size());
    if (size >= 0) static_cast<void>(::fsetxattr(file, name, value.data(), static_cast<std::size_t>(size), 0));
  }
}

#else

inline std::size_t attribute_space(char const*) noexcept { return 0; }
inline void copy_attributes(char const*, int, std::span<std::byte>) noexcept {}

#endif

}  // namespace mirnet::inline MIRNET_ABI::detail::system
