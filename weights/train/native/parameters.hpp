// The parameters of the training engine: the flat vector PyTorch sees, and the packed forms the kernels read.
//
// Each packed number knows its place in the flat vector (or that it is padding), so packing is a gather and returning
// the gradient a scatter. Every flat parameter occurs exactly once among the primary ones; a convolution occurs
// there in the layout in which its gradient is computed, and among the secondary ones for the other direction.
#pragma once

#include <cstddef>
#include <vector>

#include "gemm.hpp"

namespace mirnet_train {

struct Conv {
  std::size_t primary = 0, secondary = 0;
};

/// A convolution's weights, or a range of their input channels, within a tensor (out, in_total, k, k).
struct ConvTensor {
  std::size_t base;
  int out, in, k;
  int in_total, in_begin;

  int index(int o, int i, int y, int x) const { return int(base) + ((o * in_total + in_begin + i) * k + y) * k + x; }
};

class Parameters {
 public:
  static constexpr int no_parameter = -1;

  std::size_t count() const { return count_; }
  const std::vector<int>& primary() const { return primary_; }
  const std::vector<int>& secondary() const { return secondary_; }

  std::size_t tensor(std::size_t size) {
    const std::size_t base = count_;
    count_ += size;
    return base;
  }
  /// A tensor that is not a convolution of maps, as it is; the result is its place among the primary parameters.
  std::size_t plain(std::size_t size) {
    align(primary_);
    const std::size_t at = primary_.size();
    for (std::size_t i = 0; i < size; ++i) primary_.push_back(int(count_ + i));
    align(primary_);
    count_ += size;
    return at;
  }

  Conv conv(int out, int in, int k) {
    return pack({tensor(std::size_t(out) * in * k * k), out, in, k, in, 0}, in, out);
  }

  /// `in_width` and `out_width` are the channels of the maps, padding included.
  Conv pack(const ConvTensor& w, int in_width, int out_width) {
    Conv conv{primary_.size(), secondary_.size()};
    pack_forward(primary_, w, in_width);
    pack_transposed(secondary_, w, out_width);
    return conv;
  }
  /// For few output channels: the weight gradient's long side are then the inputs.
  Conv pack_narrow(const ConvTensor& w, int in_width, int out_width) {
    Conv conv{primary_.size(), secondary_.size()};
    pack_transposed(primary_, w, out_width);
    pack_forward(secondary_, w, in_width);
    return conv;
  }

  /// ConvTranspose2d(c, c, 3, stride 2, padding 1, output_padding 1): weights (in, out, 3, 3). Its data gradient is a
  /// convolution of stride 2, which is the primary form; forward, there are four phases (see `phase_taps`).
  Conv transposed(int c) {
    Conv conv{primary_.size(), secondary_.size()};
    const std::size_t base = tensor(std::size_t(c) * c * 9);
    auto index = [&](int i, int o, int y, int x) { return int(base) + ((i * c + o) * 3 + y) * 3 + x; };
    for (int y = 0; y < 3; ++y)
      for (int block = 0; block < c; block += tile_lanes)
        for (int x = 0; x < 3; ++x)
          for (int o = 0; o < c; ++o)
            for (int lane = 0; lane < tile_lanes; ++lane) primary_.push_back(index(block + lane, o, y, x));
    for (int a = 0; a < 2; ++a)
      for (int b = 0; b < 2; ++b)
        for (int row = 0; row <= a; ++row)
          for (int block = 0; block < c; block += tile_lanes)
            for (int column = 0; column <= b; ++column)
              for (int i = 0; i < c; ++i)
                for (int lane = 0; lane < tile_lanes; ++lane)
                  secondary_.push_back(index(i, block + lane, phase_tap(a, row), phase_tap(b, column)));
    return conv;
  }

 private:
  std::size_t count_ = 0;
  std::vector<int> primary_, secondary_;

  static void align(std::vector<int>& list) { list.resize((list.size() + 15) / 16 * 16, no_parameter); }

  /// Output 2 i + phase takes kernel tap 1 at input i for phase 0, and for phase 1 tap 2 at i and tap 0 at i + 1.
  static int phase_tap(int phase, int step) { return phase == 0 ? 1 : 2 - 2 * step; }

  static void pack_forward(std::vector<int>& list, const ConvTensor& w, int in_width) {
    for (int y = 0; y < w.k; ++y)
      for (int block = 0; block < w.out; block += tile_lanes)
        for (int x = 0; x < w.k; ++x)
          for (int i = 0; i < in_width; ++i)
            for (int o = block; o < block + tile_lanes; ++o)
              list.push_back(i < w.in && o < w.out ? w.index(o, i, y, x) : no_parameter);
  }
  static void pack_transposed(std::vector<int>& list, const ConvTensor& w, int out_width) {
    for (int y = w.k - 1; y >= 0; --y)
      for (int block = 0; block < w.in; block += tile_lanes)
        for (int x = w.k - 1; x >= 0; --x)
          for (int o = 0; o < out_width; ++o)
            for (int i = block; i < block + tile_lanes; ++i)
              list.push_back(i < w.in && o < w.out ? w.index(o, i, y, x) : no_parameter);
  }
};

}  // namespace mirnet_train
