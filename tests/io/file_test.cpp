// What a file has besides its content where it is replaced, and what keeps one from being written at all.
#include <doctest/doctest.h>

#if !defined(_WIN32)
#include <sys/stat.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sys/xattr.h>
#endif

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>

#include <mirnet/io/file.hpp>

#include "pictures.hpp"
#include "support/failing_heap.hpp"
#include "support/folder.hpp"

using namespace mirnet;
using pictures::file_of;
using test::Folder;

#if !defined(_WIN32)

namespace {

struct ::stat status_of(std::string const& path) {
  struct ::stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status;
}

unsigned mode_of(std::string const& path) { return static_cast<unsigned>(status_of(path).st_mode) & 07777u; }

/// Sets the mask for new files as long as it lives.
class Mask {
 public:
  explicit Mask(mode_t mask) : before_(::umask(mask)) {}
  Mask(Mask const&) = delete;
  Mask& operator=(Mask const&) = delete;
  ~Mask() { ::umask(before_); }

 private:
  mode_t before_;
};

bool says(Result<void> const& result, std::string_view part) {
  REQUIRE(!result.ok());
  CHECK(result.error().code() == ErrorCode::output);
  return std::string_view(result.error().message()).find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("a file that replaces another has its mode, and a new one the usual") {
  Folder const folder;
  auto const path = folder / "file";
  Mask const mask(027);
  REQUIRE(write_file(path.c_str(), file_of("new"), true).ok());
  CHECK(mode_of(path) == 0640);
  for (mode_t const mode : {0600, 0400, 0664, 0604, 0755, 0000}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    REQUIRE(write_file(path.c_str(), file_of("newer"), true).ok());
    CHECK(mode_of(path) == mode);
  }
  CHECK(folder.files() == 1);
}

TEST_CASE("what will replace a file is nobody else's to read before it has the mode") {
  Folder const folder;
  auto const path = folder / "file";
  Mask const mask(0);
  REQUIRE(write_file(path.c_str(), file_of("old"), false).ok());
  auto const temporary = detail::TemporaryFile::create(path.c_str(), true);
  REQUIRE(temporary.ok());
  for (auto const& entry : std::filesystem::directory_iterator(folder.path)) {
    CHECK(mode_of(entry.path().string()) == (entry.path() == path ? 0666 : 0600));
  }
}

TEST_CASE("a link is replaced, by a file with the mode of what it leads to") {
  Folder const folder;
  auto const path = folder / "file", link = folder / "link";
  REQUIRE(write_file(path.c_str(), file_of("old"), false).ok());
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  std::filesystem::create_symlink("file", link);
  REQUIRE(write_file(link.c_str(), file_of("new"), true).ok());
  CHECK(!std::filesystem::is_symlink(link));
  CHECK(mode_of(link) == 0600);
  CHECK(std::ranges::equal(read_file(path.c_str()).value().bytes(), file_of("old")));
}

TEST_CASE("owner and group stay where the system lets us") {
  if (::geteuid() != 0) return;
  Folder const folder;
  auto const path = folder / "file";
  REQUIRE(write_file(path.c_str(), file_of("old"), false).ok());
  REQUIRE(::chown(path.c_str(), 12345, 23456) == 0);
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  REQUIRE(write_file(path.c_str(), file_of("new"), true).ok());
  CHECK(status_of(path).st_uid == 12345);
  CHECK(status_of(path).st_gid == 23456);
  CHECK(mode_of(path) == 0640);
}

TEST_CASE("what nobody can write is known before") {
  Folder const folder;
  auto const dangling = folder / "dangling", name = folder / std::string(300, 'x').c_str();
  std::filesystem::create_symlink("nowhere", dangling);
  for (bool const overwrite : {false, true}) {
    CHECK(says(check_writable(name.c_str(), overwrite), "cannot be created: File name too long"));
    CHECK(says(write_file(name.c_str(), {}, overwrite), "cannot be created: File name too long"));
  }
  CHECK(says(check_writable(dangling.c_str(), false), "exists already, as a link to nothing"));
  CHECK(check_writable((folder / std::string(255, 'x').c_str()).c_str(), false).ok());
  CHECK(check_writable(dangling.c_str(), true).ok());
  CHECK(folder.files() == 1);
}

TEST_CASE("a name is tried as a part of another") {
  Folder const folder;
  for (bool const fits : {true, false}) {
    std::string const name = fits ? "a: \xFF?.png" : std::string(250, 'x');
    auto const temporary = detail::TemporaryFile::create((folder / name.c_str()).c_str(), true, true);
    REQUIRE(temporary.ok());
    auto const its = std::filesystem::directory_iterator(folder.path)->path().filename().string();
    CHECK(its.starts_with(".mirnet-"));
    CHECK(its.ends_with(".tmp"));
    CHECK((its.find(name) != std::string::npos) == fits);
  }
  CHECK(folder.files() == 0);
}

TEST_CASE("what cannot be replaced is known before") {
  struct ::stat file {
  }, shared{};
  file.st_uid = ::geteuid() + 1;
  shared.st_uid = ::geteuid() + 2;
  shared.st_mode = S_IFDIR | S_ISVTX | 0777;
  Folder const folder;
  auto const path = folder / "file";
  REQUIRE(write_file(path.c_str(), {}, false).ok());
  bool const is_root = ::geteuid() == 0;  // who may do it all the same
  CHECK((detail::system::obstacle(path.c_str(), file, shared) == nullptr) == is_root);
  file.st_uid = ::geteuid();
  CHECK(detail::system::obstacle(path.c_str(), file, shared) == nullptr);
}

#endif

#if defined(__linux__)

namespace {

std::string attribute(std::string const& path, char const* name) {
  char value[4096];
  auto const size = ::getxattr(path.c_str(), name, value, sizeof value);
  return size < 0 ? "none" : std::string(value, static_cast<std::size_t>(size));
}

/// What grants a user with the number 1234 what `user` says, the file's group `group`, and any of them at most `mask`.
std::string access_list(int user, int group, int mask) {
  struct Entry {
    std::uint16_t tag, rights;
    std::uint32_t number;
  };
  std::string list(4, '\0');
  store_little(reinterpret_cast<std::byte*>(list.data()), std::uint32_t{2});
  for (auto const& [tag, rights, number] : {Entry{1, 6, ~0u}, Entry{2, static_cast<std::uint16_t>(user), 1234},
                                            Entry{4, static_cast<std::uint16_t>(group), ~0u},
                                            Entry{16, static_cast<std::uint16_t>(mask), ~0u}, Entry{32, 0, ~0u}}) {
    std::byte entry[8];
    store_little(entry, tag);
    store_little(entry + 2, rights);
    store_little(entry + 4, number);
    list.append(reinterpret_cast<char const*>(entry), sizeof entry);
  }
  return list;
}

bool set_attribute(std::string const& path, char const* name, std::string_view value) {
  return ::setxattr(path.c_str(), name, value.data(), value.size(), 0) == 0;
}

}  // namespace

TEST_CASE("a file that replaces another has its extended attributes and its access list") {
  Folder const folder;
  auto const path = folder / "file";
  REQUIRE(write_file(path.c_str(), file_of("old"), false).ok());
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  if (!set_attribute(path, "user.tag", "sunset")) return;  // a file system without them
  REQUIRE(set_attribute(path, "user.empty", ""));
  REQUIRE(write_file(path.c_str(), file_of("new"), true).ok());
  CHECK(attribute(path, "user.tag") == "sunset");
  CHECK(attribute(path, "user.empty") == "");
  CHECK(mode_of(path) == 0600);
  CHECK(std::ranges::equal(read_file(path.c_str()).value().bytes(), file_of("new")));

  auto const list = access_list(6, 4, 6);
  if (!set_attribute(path, "system.posix_acl_access", list)) return;
  auto const mode = mode_of(path);
  CHECK(mode == 0660);  // the list's mask, and not what the group may do
  REQUIRE(write_file(path.c_str(), file_of("newer"), true).ok());
  CHECK(attribute(path, "system.posix_acl_access") == list);
  CHECK(mode_of(path) == mode);
  auto const newest = file_of("newest");
  test::fail_each_request(
      "write_file", [&] { return write_file(path.c_str(), newest, true); },
      [](auto const& a, auto const& b) { return a.ok() && b.ok(); });
}

TEST_CASE("a folder's list for new files is not for one that replaces another") {
  Folder const folder;
  auto const path = folder / "file";
  REQUIRE(write_file(path.c_str(), file_of("old"), false).ok());
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  if (!set_attribute(folder.path.string(), "system.posix_acl_default", access_list(6, 6, 6))) return;
  REQUIRE(write_file(path.c_str(), file_of("new"), true).ok());
  CHECK(attribute(path, "system.posix_acl_access") == "none");
  CHECK(mode_of(path) == 0640);
}

#endif
