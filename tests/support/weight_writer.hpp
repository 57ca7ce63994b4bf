// Weight files made in memory, written from the specification in weights/README.md and not with the reader's code:
// for any hyper-parameters, and with any mistake that a test wants in them.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <mirnet/base/crc32c.hpp>
#include <mirnet/model/network.hpp>

namespace test {

using Bytes = std::vector<std::byte>;

template <class Unsigned>
void put(Bytes& bytes, std::size_t offset, Unsigned value) {
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
    bytes[offset + i] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
  }
}

inline std::uint32_t crc32c(std::span<std::byte const> bytes) {
  mirnet::Crc32c crc;
  crc.add(bytes);
  return crc.value();
}

/// Writes the checksum of header, table and names that belongs to them as they are now.
inline void repair_checksum(Bytes& file) {
  std::uint32_t count = 0, strings = 0;
  std::memcpy(&count, file.data() + 72, 4);
  std::memcpy(&strings, file.data() + 124, 4);
  mirnet::Crc32c crc;
  crc.add(std::span(file).first(32));
  crc.add(std::span(file).subspan(36, 92 + std::size_t{64} * count + strings));
  put(file, 32, crc.value());
}

/// A file of f32 weights drawn as PyTorch's kaiming_uniform_(a=1.5) draws them, slopes from [0.05, 0.4]: the residual
/// of such a network is of the order of its input.
inline Bytes make_weight_file(mirnet::Config const& config, unsigned seed = 1) {
  struct Entry {
    std::string name;
    mirnet::ParameterShape shape;
  };
  std::vector<Entry> entries;
  std::string names;
  mirnet::Network<float>::schema(config, [&](auto& layer, mirnet::Name const& name) {
    entries.push_back({std::string(name.view()) + ".weight", layer.shape()});
    names += entries.back().name;
  });

  auto const align = [](std::size_t n) { return (n + 63) / 64 * 64; };
  std::size_t const strings = 128 + 64 * entries.size();
  Bytes file(align(strings + names.size()));
  std::size_t const data = file.size();
  std::memcpy(file.data() + strings, names.data(), names.size());

  std::mt19937 random(seed);
  std::uint32_t name_offset = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto const& [name, shape] = entries[i];
    float const bound =
        shape.rank == 1 ? 0.0f
                        : std::sqrt(6.0f / (3.25f * static_cast<float>(shape.dim[1] * shape.dim[2] * shape.dim[3])));
    std::uniform_real_distribution<float> weight(shape.rank == 1 ? 0.05f : -bound, shape.rank == 1 ? 0.4f : bound);
    std::size_t const offset = file.size(), size = 4 * static_cast<std::size_t>(shape.elements());
    file.resize(offset + align(size));
    for (std::size_t at = 0; at < size; at += 4) put(file, offset + at, std::bit_cast<std::uint32_t>(weight(random)));

    std::size_t const entry = 128 + 64 * i;
    put(file, entry, name_offset);
    put(file, entry + 4, static_cast<std::uint16_t>(name.size()));
    put(file, entry + 7, static_cast<std::uint8_t>(shape.rank));
    for (std::size_t d = 0; d < 4; ++d) put(file, entry + 8 + 4 * d, static_cast<std::uint32_t>(shape.dim[d]));
    put(file, entry + 24, std::uint64_t{offset});
    put(file, entry + 32, std::uint64_t{size});
    put(file, entry + 40, std::uint32_t{0xFFFFFFFF});
    put(file, entry + 44, crc32c(std::span(file).subspan(offset, size)));
    name_offset += static_cast<std::uint32_t>(name.size());
  }

  unsigned char const magic[] = {0x89, 'M', 'I', 'R', 'W', '\r', '\n', 0x1A};
  std::memcpy(file.data(), magic, sizeof magic);
  put(file, 10, std::uint16_t{1});
  put(file, 12, std::uint32_t{0x01020304});
  put(file, 16, std::uint64_t{file.size()});
  put(file, 24, std::uint32_t{128});
  auto const half = [&](std::size_t offset, mirnet::Index value) {
    put(file, offset, static_cast<std::uint16_t>(value));
  };
  half(36, 1), half(40, config.channels), half(42, config.channels), half(44, config.features), half(46, config.groups);
  half(48, config.blocks), half(50, config.streams), half(52, config.columns), half(54, 8), half(56, 2), half(58, 1);
  half(62, 1), half(64, config.pad_multiple());
  put(file, 72, static_cast<std::uint32_t>(entries.size()));
  put(file, 76, std::uint32_t{64});
  put(file, 80, std::uint64_t{128});
  put(file, 88, std::uint64_t{strings});
  put(file, 96, std::uint64_t{data});
  put(file, 104, std::uint64_t{file.size() - data});
  put(file, 112, std::uint64_t{file.size()});
  put(file, 124, static_cast<std::uint32_t>(names.size()));
  repair_checksum(file);
  return file;
}

}  // namespace test
