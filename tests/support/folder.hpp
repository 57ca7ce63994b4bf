// A folder of its own for a test, removed with everything in it.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <iterator>
#include <random>
#include <string>

namespace test {

class Folder {
 public:
  Folder() {
    std::random_device random;
    for (int attempt = 0; attempt < 100 && path.empty(); ++attempt) {
      auto const candidate = std::filesystem::temp_directory_path() / ("mirnet-test-" + std::to_string(random()));
      if (std::filesystem::create_directory(candidate)) path = candidate;
    }
    REQUIRE(!path.empty());
  }
  Folder(Folder const&) = delete;
  Folder& operator=(Folder const&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }

  std::string operator/(char const* name) const { return (path / name).string(); }
  std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator());
  }

  std::filesystem::path path;
};

}  // namespace test
