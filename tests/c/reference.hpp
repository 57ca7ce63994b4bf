// What the C interface is compared with: the same through the C++ library, in a file of its own, as it compiles slowly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <mirnet.h>

namespace reference {

using Bytes = std::vector<std::byte>;

/// Weight files, made in memory: the smallest MIRNet, and a MIRNet-v2 of two views.
Bytes const& tiny_weights();
Bytes const& two_view_weights();

struct Request {
  mirnet_format format;
  std::span<std::byte const> input;  ///< rows without gaps
  std::span<std::byte const> right;  ///< of two views; empty for one
  std::string instruction_set;
  bool in_bfloat16 = false;
  bool direct = false;
  int64_t tile = 0;  ///< 0: the usual one; MIRNET_WHOLE
  float brightness = 1, colour = 1;
};

/// What mirnet::restore makes of it with one thread. Throws where it fails.
Bytes restored(std::span<std::byte const> weights, Request const& request);

}  // namespace reference
