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
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>

namespace test {

using Bytes = std::vector<std::byte>;

template <class Unsigned>
void put(Bytes& bytes, std::size_t at, Unsigned value) {
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
    bytes[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
  }
}

template <class Unsigned>
Unsigned get(Bytes const& bytes, std::size_t offset) {
  Unsigned value = 0;
  for (std::size_t i = sizeof(Unsigned); i-- > 0;) {
    value = static_cast<Unsigned>(value << 8 | std::to_integer<Unsigned>(bytes[offset + i]));
  }
  return value;
}

inline std::uint32_t crc32c(std::span<std::byte const> bytes) {
  mirnet::Crc32c crc;
  crc.add(bytes);
  return crc.value();
}

/// Writes the checksum of header, table and names that belongs to them as they are now.
inline void repair_checksum(Bytes& file) {
  auto const count = get<std::uint32_t>(file, 72), strings = get<std::uint32_t>(file, 124);
  mirnet::Crc32c crc;
  crc.add(std::span(file).first(32));
  crc.add(std::span(file).subspan(36, 92 + std::size_t{64} * count + strings));
  put(file, 32, crc.value());
}

/// How the weights of a file are stored; slopes are f32 as they are.
enum class Storage { f32, f32_packed, bf16, bf16_packed };

/// The packed arrangement of a convolution's weights, (out, in, height, width), in groups of `line` output channels.
inline std::vector<float> packed(std::vector<float> const& plain, std::size_t const (&dim)[4], std::size_t line) {
  auto const [out, in, height, width] = dim;
  std::vector<float> result;
  for (std::size_t group = 0; group < out; group += line) {
    for (std::size_t tap = 0; tap < height * width; ++tap) {
      for (std::size_t i = 0; i < in; ++i) {
        for (std::size_t o = group; o < group + line; ++o) {
          result.push_back(o < out ? plain[(o * in + i) * height * width + tap] : 0.0f);
        }
      }
    }
  }
  return result;
}

/// That of a transposed convolution's, (in, out, 3, 3): four convolutions, each of some of the kernel's rows and
/// columns.
inline std::vector<float> packed_phases(std::vector<float> const& plain, std::size_t in, std::size_t out,
                                        std::size_t line) {
  std::vector<std::size_t> const taps[] = {{1}, {2, 0}};
  std::vector<float> result;
  for (auto const& rows : taps) {
    for (auto const& columns : taps) {
      std::vector<float> phase;
      for (std::size_t o = 0; o < out; ++o) {
        for (std::size_t i = 0; i < in; ++i) {
          for (auto const y : rows) {
            for (auto const x : columns) phase.push_back(plain[((i * out + o) * 3 + y) * 3 + x]);
          }
        }
      }
      auto const part = packed(phase, {out, in, rows.size(), columns.size()}, line);
      result.insert(result.end(), part.begin(), part.end());
    }
  }
  return result;
}

/// A file of weights drawn as PyTorch's kaiming_uniform_(a=1.5) draws them, slopes and biases from [0.05, 0.4]: the
/// residual of such a network is of the order of its input. schema(visit) visits its layers, and half(offset, value) in
/// fields(half) writes a field of the header.
template <class Schema, class Fields>
Bytes make_weight_file(Schema&& schema, int minor_version, Fields&& fields, unsigned seed, Storage storage) {
  struct Entry {
    std::string name;
    mirnet::ParameterShape shape;
    bool transposed, bias;
  };
  std::vector<Entry> entries;
  std::string names;
  schema([&](auto& layer, mirnet::Name const& name) {
    mirnet::each_parameter(layer, name, [&]<class Parameter>(Parameter& parameter, mirnet::Name const& full_name) {
      entries.push_back({std::string(full_name.view()), parameter.shape(),
                         std::is_same_v<Parameter, mirnet::ConvTranspose2d<float>>,
                         full_name.view().ends_with(".bias")});
      names += entries.back().name;
    });
  });
  bool const is_packed = storage == Storage::f32_packed || storage == Storage::bf16_packed;
  bool const is_narrow = storage == Storage::bf16 || storage == Storage::bf16_packed;

  auto const align = [](std::size_t n) { return (n + 63) / 64 * 64; };
  std::size_t const strings = 128 + 64 * entries.size();
  Bytes file(align(strings + names.size()));
  std::size_t const data = file.size();
  std::memcpy(file.data() + strings, names.data(), names.size());

  std::mt19937 random(seed);
  std::uint32_t name_offset = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto const& [name, shape, transposed, bias] = entries[i];
    float const bound =
        shape.rank == 1 ? 0.0f
                        : std::sqrt(6.0f / (3.25f * static_cast<float>(shape.dim[1] * shape.dim[2] * shape.dim[3])));
    std::uniform_real_distribution<float> weight(shape.rank == 1 ? 0.05f : -bound, shape.rank == 1 ? 0.4f : bound);
    std::vector<float> values(static_cast<std::size_t>(shape.elements()));
    for (float& value : values) value = weight(random);
    bool const narrow = is_narrow && (shape.rank == 4 || bias);
    std::size_t const offset = file.size(), element = narrow ? 2 : 4, line = 64 / element;
    std::size_t dim[4];
    for (std::size_t d = 0; d < 4; ++d) dim[d] = static_cast<std::size_t>(shape.dim[d]);
    if (is_packed && shape.rank == 4 && !name.ends_with("SA.spatial.conv.weight") &&
        !name.ends_with("gcnet.conv_mask.weight")) {
      values = transposed ? packed_phases(values, dim[0], dim[1], line) : packed(values, dim, line);
    }
    if (is_packed && bias) values.resize((values.size() + line - 1) / line * line);
    std::size_t const size = element * values.size();
    file.resize(offset + align(size));
    for (std::size_t at = 0; at < values.size(); ++at) {
      if (narrow) {
        put(file, offset + 2 * at, mirnet::to_bfloat16(values[at]));
      } else {
        put(file, offset + 4 * at, std::bit_cast<std::uint32_t>(values[at]));
      }
    }

    std::size_t const entry = 128 + 64 * i;
    put(file, entry, name_offset);
    put(file, entry + 4, static_cast<std::uint16_t>(name.size()));
    put(file, entry + 6, static_cast<std::uint8_t>(narrow ? 2 : 0));
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
  put(file, 10, static_cast<std::uint16_t>(minor_version));
  put(file, 12, std::uint32_t{0x01020304});
  put(file, 16, std::uint64_t{file.size()});
  put(file, 24, std::uint32_t{128});
  put(file, 28, std::uint32_t{is_packed});
  fields([&](std::size_t offset, mirnet::Index value) { put(file, offset, static_cast<std::uint16_t>(value)); });
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

/// One of MIRNet-v2's.
inline Bytes make_weight_file(mirnet::MirnetV2Config const& config, unsigned seed = 1, Storage storage = Storage::f32) {
  return make_weight_file([&](auto&& visit) { mirnet::MirnetV2<float>::schema(config, visit); }, 4,
                          [&](auto&& half) {
                            half(36, 2), half(38, config.adds_image ? 1 : 5), half(40, config.channels), half(42, 3);
                            half(44, config.features), half(46, 4), half(48, config.blocks), half(50, 3), half(52, 2);
                            half(54, 8), half(56, 3), half(58, 2), half(60, config.bias), half(62, 1), half(64, 4);
                            half(66, 1);
                          },
                          seed, storage);
}

/// One of MIRNet's.
inline Bytes make_weight_file(mirnet::MirnetConfig const& config, unsigned seed = 1, Storage storage = Storage::f32) {
  bool const is_packed = storage == Storage::f32_packed || storage == Storage::bf16_packed;
  return make_weight_file([&](auto&& visit) { mirnet::Mirnet<float>::schema(config, visit); },
                          config.unshuffle > 1 ? 3
                          : is_packed          ? 2
                                               : 1,
                          [&](auto&& half) {
                            half(36, 1), half(40, config.channels), half(42, config.channels);
                            half(44, config.features), half(46, config.groups), half(48, config.blocks);
                            half(50, config.streams), half(52, config.columns), half(54, 8), half(56, 2), half(58, 1);
                            half(62, 1), half(64, (1 << (config.streams - 1)) * config.unshuffle);
                            half(66, config.unshuffle > 1 ? config.unshuffle : 0);
                          },
                          seed, storage);
}

}  // namespace test
