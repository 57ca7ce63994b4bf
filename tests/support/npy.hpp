// Arrays of numpy's .npy files, as the golden cases hold them: (channels, height, width) in C order.
#pragma once

#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

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
  auto const bytes = file_bytes(path);
  REQUIRE(bytes.size() > 10);
  auto const header_size =
      static_cast<std::size_t>(static_cast<unsigned char>(bytes[8]) | static_cast<unsigned char>(bytes[9]) << 8);
  std::string const header(bytes.data() + 10, header_size);
  REQUIRE(header.find(sizeof(Stored) == 4 ? "'<f4'" : "'<f8'") != std::string::npos);
  long channels = 0, height = 0, width = 0;
  REQUIRE(std::sscanf(header.c_str() + header.find("'shape': ("), "'shape': (%ld, %ld, %ld)", &channels, &height,
                      &width) == 3);

  auto map = mirnet::Tensor<T>::create({height, width, channels}).value();
  auto const* value = reinterpret_cast<Stored const*>(bytes.data() + 10 + header_size);
  REQUIRE(bytes.size() == 10 + header_size + sizeof(Stored) * static_cast<std::size_t>(channels * height * width));
  for (long c = 0; c < channels; ++c) {
    for (long y = 0; y < height; ++y) {
      for (long x = 0; x < width; ++x) map.view()(y, x, c) = static_cast<T>(*value++);
    }
  }
  return map;
}

}  // namespace test
