// Arrays of numpy's .npy files, as the golden cases hold them: (channels, height, width) in C order.
#pragma once

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include <mirnet/io/bytes.hpp>
#include <mirnet/tensor/tensor.hpp>

namespace test {

/// All bytes of a file; fails the test if there is none.
inline std::vector<char> file_bytes(std::string const& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The array of a file whose elements are of type Stored, as a channels-last map of type T.
template <class T, class Stored = float>
mirnet::Tensor<T> read_npy(std::string const& path) {
  using Bits = std::conditional_t<sizeof(Stored) == 4, std::uint32_t, std::uint64_t>;
  auto const bytes = file_bytes(path);
  REQUIRE(bytes.size() > 10);
  auto const header_size =
      static_cast<std::size_t>(static_cast<unsigned char>(bytes[8]) | static_cast<unsigned char>(bytes[9]) << 8);
  std::string const header(bytes.data() + 10, header_size);
  REQUIRE(header.find(sizeof(Stored) == 4 ? "'<f4'" : "'<f8'") != std::string::npos);
  std::string const key = "'shape': (";
  auto const found = header.find(key);
  REQUIRE(found != std::string::npos);
  std::istringstream shape(header.substr(found + key.size()));
  int channels = 0, height = 0, width = 0;
  char comma = 0;
  shape >> channels >> comma >> height >> comma >> width;
  REQUIRE(!shape.fail());

  auto map = mirnet::Tensor<T>::create({height, width, channels}).value();
  auto const* value = reinterpret_cast<std::byte const*>(bytes.data() + 10 + header_size);
  REQUIRE(bytes.size() == 10 + header_size + sizeof(Stored) * static_cast<std::size_t>(channels * height * width));
  for (int c = 0; c < channels; ++c) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x, value += sizeof(Stored)) {
        map.view()(y, x, c) = static_cast<T>(std::bit_cast<Stored>(mirnet::load_little<Bits>(value)));
      }
    }
  }
  return map;
}

}  // namespace test
