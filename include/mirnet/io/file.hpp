// Whole files: read one, or write one so that it is either all there or not there at all.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include <mirnet/io/bytes.hpp>
#include <mirnet/io/system_file.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Owner of a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Descriptor() { close(); }

  int get() const noexcept { return fd_; }
  bool open() const noexcept { return fd_ >= 0; }
  bool close() noexcept { return fd_ < 0 || system::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

/// Calls step(done) until it has dealt with `size` bytes; false where it fails or nothing more comes, which leaves
/// errno at 0.
template <class Step>
bool transfer(std::size_t size, Step step) noexcept {
  for (std::size_t done = 0; done < size;) {
    errno = 0;
    Index const count = step(done);
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace detail

/// A regular file that is open for reading; move-only.
class InputFile {
 public:
  /// Errors: `code`, where the file is missing, may not be read or is a folder, a pipe or a device.
  static Result<InputFile> open(char const* path, ErrorCode code) noexcept {
    detail::Descriptor descriptor(detail::system::open_to_read(path));
    detail::system::Status status{};
    if (!descriptor.open() || !detail::system::status_of(descriptor.get(), status)) {
      return Error(code, "%s: cannot be opened: %s", path, std::strerror(errno));
    }
    if (!detail::system::is_regular(status)) {
      return Error(code, "%s: is %s; expected a regular file", path, detail::system::kind_of(status));
    }
    return InputFile(std::move(descriptor), static_cast<std::uint64_t>(status.st_size));
  }

  /// The system's number for it, which stays this object's.
  int native_handle() const noexcept { return descriptor_.get(); }

  /// When it was opened.
  std::uint64_t size() const noexcept { return size_; }

  /// Fills `to` with the bytes from `offset` on; false where they cannot be read, all of them.
  bool read(std::uint64_t offset, std::span<std::byte> to) const noexcept {
    if (offset > size_ || to.size() > size_ - offset) return false;
    return detail::transfer(to.size(), [&](std::size_t done) {
      return detail::system::read_at(descriptor_.get(), to.data() + done, to.size() - done, offset + done);
    });
  }

 private:
  InputFile(detail::Descriptor descriptor, std::uint64_t size) noexcept
      : descriptor_(std::move(descriptor)), size_(size) {}

  detail::Descriptor descriptor_;
  std::uint64_t size_;
};

/// The content of a regular file. Errors: `code`, for whatever is wrong with the file; memory.
inline Result<ByteBuffer> read_file(char const* path, ErrorCode code = ErrorCode::input) noexcept {
  auto const file = InputFile::open(path, code);
  if (!file) return file.error();
  if (!std::in_range<Index>(file->size())) return Error(ErrorCode::memory, "%s: is too large for this machine", path);
  auto content = ByteBuffer::create(static_cast<Index>(file->size()));
  if (!content) return content;
  if (!file->read(0, content->bytes())) {
    return Error(code, "%s: cannot be read: %s", path,
                 errno != 0 ? std::strerror(errno) : "it became shorter meanwhile");
  }
  return content;
}

namespace detail {

inline Error cannot_write(char const* target, char const* what) noexcept {
  return Error(ErrorCode::output, "%s: %s: %s", target, what, std::strerror(errno));
}

/// A new file in the folder of another, under a name that nothing else has; removed unless it was published.
class TemporaryFile {
 public:
  /// A private one is for its owner alone until imitate. One that tries the name has the target's in its own, as far as
  /// that is not too long then. Errors: output, where it cannot be created; memory.
  static Result<TemporaryFile> create(char const* target, bool is_private = false, bool tries_name = false) noexcept {
    static std::atomic<unsigned> counter{0};
    std::string_view const name(target);
    auto const folder = name.substr(0, name.find_last_of(system::separators) + 1);
    constexpr char longest[] = ".mirnet--2147483648-4294967295-.tmp";
    auto const most = name.size() - folder.size() + sizeof longest;
    auto memory = Memory::allocate(static_cast<Index>(folder.size() + most));
    if (!memory) return memory.error();
    auto* const path = reinterpret_cast<char*>(memory->bytes().data());
    std::memcpy(path, folder.data(), folder.size());
    do {
      std::snprintf(path + folder.size(), most, ".mirnet-%d-%u%s%s.tmp", system::process_number(), counter++,
                    tries_name ? "-" : "", tries_name ? target + folder.size() : "");
      Descriptor descriptor(system::create(path, is_private));
      if (descriptor.open()) return TemporaryFile(std::move(descriptor), *std::move(memory));
    } while (errno == EEXIST || (errno == ENAMETOOLONG && std::exchange(tries_name, false)));
    return cannot_write(target, tries_name ? "no file of this name can be created in its folder"
                                           : "nothing can be created in its folder");
  }

  TemporaryFile(TemporaryFile&&) = default;
  ~TemporaryFile() {
    if (path() == nullptr) return;
    descriptor_.close();  // Windows keeps a file that is open
    system::remove(path());
  }

  /// Gives the file whatever the target, which exists, has besides its content: owner, group, mode, extended attributes
  /// and access list, as far as the system lets us. Errors: memory.
  Result<void> imitate(char const* target) noexcept {
    system::Status status{};
    if (!system::status_of(target, status)) return {};
    auto const space = Memory::allocate(static_cast<Index>(system::attribute_space(target)));
    if (!space) return space.error();
    system::copy_attributes(target, descriptor_.get(), space->bytes());
    system::copy_rights(target, status, descriptor_.get(), space->bytes());
    return {};
  }

  /// The folder that it is in.
  bool status_of_folder(system::Status& status) noexcept {
    auto const folder_length = std::string_view(path()).find_last_of(system::separators) + 1;  // 0 where none is found
    auto* const end = path() + folder_length;
    auto const first = std::exchange(*end, '\0');
    bool const known = system::status_of(*path() == '\0' ? "." : path(), status);
    *end = first;
    return known;
  }

  /// Writes everything and waits until the disk has it.
  bool write(std::span<std::byte const> bytes) noexcept {
    bool const all = transfer(bytes.size(), [&](std::size_t done) {
      return system::write(descriptor_.get(), bytes.data() + done, bytes.size() - done);
    });
    return all && system::flush(descriptor_.get()) && descriptor_.close();
  }

  /// Gives the file the target's name. Without `overwrite` a target that exists, or appears meanwhile, stays.
  bool publish(char const* target, bool overwrite) noexcept {
    if (!(overwrite ? system::rename : system::rename_to_new)(path(), target)) return false;
    path_ = {};
    return true;
  }

 private:
  TemporaryFile(Descriptor descriptor, Memory path) noexcept
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  char* path() const noexcept { return reinterpret_cast<char*>(path_.bytes().data()); }

  Descriptor descriptor_;
  Memory path_;  // holds text; none: there is no such file any more
};

/// Whether a regular file has the path's name now. Errors: output, where what has it may not be replaced, or where no
/// file can have such a name.
inline Result<bool> check_target(char const* path, bool overwrite) noexcept {
  system::Status status{};
  if (system::status_of(path, status)) {
    if (!system::is_regular(status)) {
      return Error(ErrorCode::output, "%s: is %s; expected a regular file or none", path, system::kind_of(status));
    }
    if (!overwrite) return Error(ErrorCode::output, "%s: exists already, and overwrite is not set", path);
    return true;
  }
  if (errno == ENAMETOOLONG) return cannot_write(path, "cannot be created");
  if (!overwrite && system::status_of_name(path, status)) {
    return Error(ErrorCode::output, "%s: exists already, as a link to nothing, and overwrite is not set", path);
  }
  return false;
}

}  // namespace detail

/// Whether write_file would succeed as far as can be told before there is anything to write. Errors: output, memory.
inline Result<void> check_writable(char const* path, bool overwrite) noexcept {
  auto const exists = detail::check_target(path, overwrite);
  if (!exists) return exists.error();
  auto probe = detail::TemporaryFile::create(path, true, true);
  if (!probe) return probe.error();
  detail::system::Status name{}, folder{};
  if (!detail::system::status_of_name(path, name) || !probe->status_of_folder(folder)) return {};
  if (auto const* const reason = detail::system::obstacle(path, name, folder)) {
    return Error(ErrorCode::output, "%s: cannot be replaced: %s", path, reason);
  }
  return {};
}

/// Writes a whole file: to a temporary one in the same folder, which then takes the name, so that no reader ever sees
/// a part of it and nothing is left behind where it fails. A file that is replaced hands on its owner, group, mode,
/// extended attributes and access list, as far as the system lets us; what cannot be kept gives nobody more rights. A
/// symbolic link is replaced, not followed. Errors: output, memory.
inline Result<void> write_file(char const* path, std::span<std::byte const> bytes, bool overwrite) noexcept {
  auto const exists = detail::check_target(path, overwrite);
  if (!exists) return exists.error();
  auto file = detail::TemporaryFile::create(path, *exists);
  if (!file) return file.error();
  if (*exists) {
    auto const done = file->imitate(path);
    if (!done) return done;
  }
  if (!file->write(bytes)) return detail::cannot_write(path, "cannot be written");
  if (!file->publish(path, overwrite)) return detail::cannot_write(path, "cannot be created");
  return {};
}

}  // namespace mirnet::inline MIRNET_ABI
