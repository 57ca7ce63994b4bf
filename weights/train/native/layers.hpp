// The layers of MIRNet with their backward passes, on the maps of maps.hpp and the kernels of gemm.hpp.
#pragma once

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "gemm.hpp"
#include "maps.hpp"
#include "parameters.hpp"

namespace mirnet_train {

inline constexpr int most_channels = 4096;
inline constexpr int most_streams = 4;

/// All pixels of a map as one run, those of the halo between its rows included: no short rows, little to waste.
inline Walk straight(const Shape& in, const Shape& out) {
  return {1, out.span(), 0, std::size_t(in.c), 0, std::size_t(out.c)};
}

/// A 3x3 kernel visits the halo between rows with real pixels as neighbours; the results there are not zero.
inline void zero_halo(float* map, const Shape& s) {
  for (int y = 1; y < s.h; ++y) std::memset(map + y * s.row() + s.row() - s.c, 0, 2 * s.c * sizeof(float));
}

/// The terms of a k x k convolution around the first pixel.
template <class T, class Weights>
inline int add_terms(T* terms, const float* map, const Shape& s, int k, Weights* weights, int out_channels) {
  const int reach = k / 2, run = k * s.c;
  for (int y = 0; y < k; ++y) {
    terms[y] = {map + s.origin() + (y - reach) * std::ptrdiff_t(s.row()) - reach * s.c,
                weights + std::size_t(y) * out_channels * run, run};
  }
  return k;
}

inline void add_map(float* to, const float* from, const Shape& s) {
  for (std::size_t i = 0, n = s.floats() / 16 * 16; i < n; i += 8) store(to + i, load(to + i) + load(from + i));
}

/// PReLU whose gradient its consumer computes. For a positive slope the output tells all about the input, which is then
/// not stored; for others (and for tiny ones) it has a map of its own.
class Activation {
 public:
  Activation() = default;
  Activation(const Plan& plan, int map) {
    const Map& m = plan.maps[map];
    if (m.pre < 0) return;
    activated_ = m.value + m.shape.origin();
    pre_ = plan.maps[m.pre].value + m.shape.origin();
    slope_ = m.slope;
  }
  explicit operator bool() const { return slope_ >= 0; }

  float slope(const Worker& worker) const { return worker.primary[slope_]; }
  bool invertible(const Worker& worker) const { return slope(worker) > 0.01f; }

  /// For the producer: where the input goes, from the first pixel on; null if it need not be stored.
  float* raw(const Worker& worker) const { return invertible(worker) ? nullptr : worker.arena + pre_; }
  /// For the consumer: values with the input's sign, and for negative ones, up to a factor, its value.
  const float* pre(const Worker& worker) const { return worker.arena + (invertible(worker) ? activated_ : pre_); }
  /// For the consumer: sum over the negative inputs of `pre` times the gradient of the output.
  void add_slope_gradient(const Worker& worker, float total) const {
    worker.gradient[slope_] += invertible(worker) ? total / slope(worker) : total;
  }

 private:
  std::size_t activated_ = 0, pre_ = 0;
  int slope_ = -1;
};

/// A convolution's gradient arriving at a map: adds up, and passes a PReLU on the way.
class ConvTarget {
 public:
  ConvTarget() = default;
  ConvTarget(Plan& plan, int map)
      : slot_(plan.add_gradient(map)), shape_(plan.maps[map].shape), activation_(plan, map) {}

  bool wanted() const { return slot_.wanted; }

  void add(const Worker& worker, const Term* terms, int count, const Walk& walk, bool clear_halo) const {
    float* map = worker.arena + slot_.at;
    Target target{map + shape_.origin()};
    if (slot_.accumulate) target.base = target.out;
    const int blocks = shape_.c / tile_lanes;
    if (activation_) {
      alignas(64) float slope_gradient[tile_lanes] = {};
      target.pre = activation_.pre(worker);
      target.slope = activation_.slope(worker);
      target.slope_gradient = slope_gradient;
      convolve<Store::mask>(terms, count, walk, blocks, target);
      activation_.add_slope_gradient(worker, sum(load(slope_gradient) + load(slope_gradient + 8)));
    } else {
      convolve<Store::plain>(terms, count, walk, blocks, target);
    }
    if (clear_halo) zero_halo(map, shape_);
  }

 private:
  GradientSlot slot_;
  Shape shape_{};
  Activation activation_;
};

/// A sum of convolutions (1x1 or 3x3), optionally on top of a map, optionally followed by a PReLU.
class ConvLayer final : public Layer {
 public:
  struct Input {
    int map, k;
    Conv conv;
  };

  /// `base` is the map to add to, or -1; it may be `out`. `activated` (or -1) takes the PReLU of the result.
  ConvLayer(Plan& plan, std::vector<Input> inputs, int base, int out, int activated = -1, int slope = -1)
      : base_(base), out_(out), activated_(activated) {
    for (const Input& input : inputs) inputs_.push_back({input, plan.maps[input.map], {}});
    shape_ = plan.maps[out].shape;
    out_at_ = plan.maps[out].value;
    if (base >= 0) base_at_ = plan.maps[base].value;
    if (activated >= 0) {
      out_at_ = plan.maps[activated].value;
      plan.maps[activated].pre = out;
      plan.maps[activated].slope = slope;
      activation_ = Activation(plan, activated);
    }
  }

  void forward(const Worker& worker) const override {
    std::array<Term, 8> terms;
    int count = 0;
    bool clear = false;
    for (const auto& in : inputs_) {
      count += add_terms(&terms[count], worker.arena + in.map.value, in.map.shape, in.input.k,
                         worker.primary + in.input.conv.primary, shape_.c);
      clear |= in.input.k > 1;
    }
    const std::size_t origin = shape_.origin();
    const Walk walk = straight(inputs_[0].map.shape, shape_);
    Target target{worker.arena + out_at_ + origin};
    if (base_ >= 0) target.base = worker.arena + base_at_ + origin;
    if (activation_) {
      target.raw = activation_.raw(worker);
      target.slope = activation_.slope(worker);
      convolve<Store::activate>(terms.data(), count, walk, shape_.c / tile_lanes, target);
      if (clear && target.raw) zero_halo(target.raw - origin, shape_);
    } else {
      convolve<Store::plain>(terms.data(), count, walk, shape_.c / tile_lanes, target);
    }
    if (clear) zero_halo(worker.arena + out_at_, shape_);
  }

  void plan_backward(Plan& plan) override {
    const int result = activated_ >= 0 ? activated_ : out_;
    gradient_at_ = plan.maps[result].gradient;
    for (auto& in : inputs_) in.target = ConvTarget(plan, in.input.map);
    if (base_ == out_) return;  // another layer wrote the map first, and ends its life
    bool passed_on = false;
    if (base_ >= 0) {
      base_slot_ = plan.pass_gradient(result, base_);
      passed_on = !base_slot_.wanted;
    }
    if (!passed_on) plan.release_gradient(result);
    plan.release_value(out_);
    if (activated_ >= 0) plan.release_value(activated_);
  }

  void backward(const Worker& worker) const override {
    const float* gradient = worker.arena + gradient_at_;
    for (const auto& in : inputs_) {
      std::array<GradientTerm, 3> sums;
      const int count = add_terms(sums.data(), worker.arena + in.map.value, in.map.shape, in.input.k,
                                  worker.gradient + in.input.conv.primary, shape_.c);
      weight_gradient(sums.data(), count, straight(in.map.shape, shape_), shape_.c / tile_lanes,
                      gradient + shape_.origin());
      if (!in.target.wanted()) continue;
      std::array<Term, 3> terms;
      add_terms(terms.data(), gradient, shape_, in.input.k, worker.secondary + in.input.conv.secondary, in.map.shape.c);
      in.target.add(worker, terms.data(), count, straight(shape_, in.map.shape), in.input.k > 1);
    }
    if (base_slot_.wanted) add_map(worker.arena + base_slot_.at, gradient, shape_);
  }

 private:
  struct PlannedInput {
    Input input;
    Map map;
    ConvTarget target;
  };

  std::vector<PlannedInput> inputs_;
  Shape shape_;
  int base_, out_, activated_;
  std::size_t out_at_ = 0, base_at_ = 0, gradient_at_ = 0;  // out_at_: what comes last, activated or not
  Activation activation_;
  GradientSlot base_slot_;
};

/// The last convolution: few output channels. Its results and their gradients are maps of different widths.
class OutputLayer final : public Layer {
 public:
  OutputLayer(Plan& plan, int in, Conv conv, int out, int out_gradient)
      : in_(in), conv_(conv), in_map_(plan.maps[in]), out_map_(plan.maps[out]), gradient_(plan.maps[out_gradient]) {}

  void forward(const Worker& worker) const override {
    std::array<Term, 3> terms;
    const int count = add_terms(terms.data(), worker.arena + in_map_.value, in_map_.shape, 3,
                                worker.secondary + conv_.secondary, out_map_.shape.c);
    const Shape& s = out_map_.shape;
    convolve<Store::plain>(terms.data(), count, straight(in_map_.shape, s), s.c / tile_lanes,
                           {worker.arena + out_map_.value + s.origin()});
  }

  void plan_backward(Plan& plan) override { target_ = ConvTarget(plan, in_); }

  void backward(const Worker& worker) const override {
    const float* gradient = worker.arena + gradient_.value;
    const Shape &in = in_map_.shape, &out = gradient_.shape;
    std::array<GradientTerm, 3> sums;
    const int count = add_terms(sums.data(), gradient, out, 3, worker.gradient + conv_.primary, in.c);
    weight_gradient(sums.data(), count, straight(out, in), in.c / tile_lanes,
                    worker.arena + in_map_.value + in.origin());
    std::array<Term, 3> terms;
    add_terms(terms.data(), gradient, out, 3, worker.primary + conv_.primary, in.c);
    target_.add(worker, terms.data(), count, straight(out, in), true);
  }

 private:
  int in_;
  Conv conv_;
  Map in_map_, out_map_, gradient_;
  ConvTarget target_;
};

/// Transposed 3x3 convolution that doubles the resolution, then PReLU. It is the adjoint of a convolution of stride 2,
/// and its backward pass is written as one.
class TransposedLayer final : public Layer {
 public:
  TransposedLayer(Plan& plan, int in, Conv conv, int out, int activated, int slope)
      : in_(in), out_(out), activated_(activated), conv_(conv) {
    plan.maps[activated].pre = out;
    plan.maps[activated].slope = slope;
    in_map_ = plan.maps[in];
    out_map_ = plan.maps[activated];
    activation_ = Activation(plan, activated);
  }

  void forward(const Worker& worker) const override {
    const Shape &in = in_map_.shape, &out = out_map_.shape;
    const float* weights = worker.secondary + conv_.secondary;
    const Walk walk{in.h, in.w, in.row(), std::size_t(in.c), 2 * out.row(), 2 * std::size_t(out.c)};
    for (int a = 0; a < 2; ++a) {
      for (int b = 0; b < 2; ++b) {
        std::array<Term, 2> terms;
        const int run = (b + 1) * in.c;
        for (int row = 0; row <= a; ++row) {
          terms[row] = {worker.arena + in_map_.value + in.origin() + row * in.row(), weights, run};
          weights += std::size_t(run) * out.c;
        }
        const std::size_t first = a * out.row() + b * out.c;
        Target target{worker.arena + out_map_.value + out.origin() + first};
        if (float* raw = activation_.raw(worker)) target.raw = raw + first;
        target.slope = activation_.slope(worker);
        convolve<Store::activate>(terms.data(), a + 1, walk, out.c / tile_lanes, target);
      }
    }
  }

  void plan_backward(Plan& plan) override {
    gradient_at_ = plan.maps[activated_].gradient;
    target_ = ConvTarget(plan, in_);
    plan.release_gradient(activated_);
    plan.release_value(out_);
    plan.release_value(activated_);
  }

  void backward(const Worker& worker) const override {
    const Shape &in = in_map_.shape, &out = out_map_.shape;
    const float* gradient = worker.arena + gradient_at_;
    const Walk walk{in.h, in.w, 2 * out.row(), 2 * std::size_t(out.c), in.row(), std::size_t(in.c)};
    std::array<GradientTerm, 3> sums;
    const int count = add_terms(sums.data(), gradient, out, 3, worker.gradient + conv_.primary, in.c);
    weight_gradient(sums.data(), count, walk, in.c / tile_lanes, worker.arena + in_map_.value + in.origin());
    std::array<Term, 3> terms;
    add_terms(terms.data(), gradient, out, 3, worker.primary + conv_.primary, in.c);
    target_.add(worker, terms.data(), count, walk, false);
  }

 private:
  int in_, out_, activated_;
  Conv conv_;
  Map in_map_, out_map_;
  Activation activation_;
  std::size_t gradient_at_ = 0;
  ConvTarget target_;
};

/// From one map to another of a different size, with a row of memory for the step between columns and rows.
class ResamplingLayer : public Layer {
 public:
  void plan_backward(Plan& plan) override {
    gradient_at_ = plan.maps[out_].gradient;
    slot_ = plan.add_gradient(in_);
    plan.release_gradient(out_);
    plan.release_value(out_);
  }

 protected:
  /// The row is one of the larger map.
  ResamplingLayer(Plan& plan, int in, int out, const Shape& larger)
      : in_map_(plan.maps[in]), out_map_(plan.maps[out]), row_at_(plan.new_floats(larger.row())), in_(in), out_(out) {}

  Map in_map_, out_map_;
  std::size_t row_at_, gradient_at_ = 0;
  GradientSlot slot_;

 private:
  int in_, out_;
};

/// Blur with [1 2 1] x [1 2 1] / 16 and reflected border, every second pixel kept. Only index -1 is ever reflected.
class BlurLayer final : public ResamplingLayer {
 public:
  BlurLayer(Plan& plan, int in, int out) : ResamplingLayer(plan, in, out, plan.maps[in].shape), activation_(plan, in) {}

  void forward(const Worker& worker) const override {
    const Shape &in = in_map_.shape, &out = out_map_.shape;
    const int c = in.c;
    const float* x = worker.arena + in_map_.value + in.origin();
    float* y = worker.arena + out_map_.value + out.origin();
    float* columns = worker.arena + row_at_;
    for (int i = 0; i < out.h; ++i, y += out.row()) {
      const float* middle = x + 2 * i * in.row();
      const float* below = middle + in.row();
      const float* above = i == 0 ? below : middle - in.row();
      for (int k = 0; k < in.w * c; k += 8) {
        store(columns + k, load(above + k) + load(middle + k) * 2 + load(below + k));
      }
      for (int j = 0; j < out.w; ++j) {
        const float* at = columns + 2 * j * c;
        const float* left = j == 0 ? at + c : at - c;
        for (int k = 0; k < c; k += 8) {
          store(y + j * c + k, (load(left + k) + load(at + k) * 2 + load(at + c + k)) * (1.0f / 16));
        }
      }
    }
  }

  void backward(const Worker& worker) const override {
    if (activation_) {
      scatter<true, false>(worker);
    } else if (slot_.accumulate) {
      scatter<false, true>(worker);
    } else {
      scatter<false, false>(worker);
    }
  }

 private:
  template <bool Mask, bool Accumulate>
  void scatter(const Worker& worker) const {
    const Shape &in = in_map_.shape, &out = out_map_.shape;
    const int c = in.c;
    const float* dy = worker.arena + gradient_at_ + out.origin();
    float* dx = worker.arena + slot_.at + in.origin();
    const float* pre = Mask ? activation_.pre(worker) : nullptr;
    float* columns = worker.arena + row_at_;  // one pixel more than the row: the halo's zeros, for the last one
    const v8 slope = splat(Mask ? activation_.slope(worker) : 0.0f);
    v8 slope_gradient{};
    auto put = [&](std::size_t at, v8 g) {
      if constexpr (Mask) {
        const v8 x = load(pre + at);
        slope_gradient += x > 0 ? v8{} : x * g;
        g = x > 0 ? g : g * slope;
      }
      if constexpr (Accumulate) g += load(dx + at);
      store(dx + at, g);
    };
    for (int y = 0; y < in.h; ++y) {
      const float* near = dy + y / 2 * out.row();
      const float* below = near + out.row();  // the halo's zeros for the last row
      const int width = (out.w + 1) * c;
      const float weight = 1.0f / 16;
      if (y % 2 == 0) {
        for (int k = 0; k < width; k += 8) store(columns + k, load(near + k) * (2 * weight));
      } else {
        const float first = y == 1 ? 2 * weight : weight;  // the reflected row
        for (int k = 0; k < width; k += 8) store(columns + k, load(near + k) * first + load(below + k) * weight);
      }
      const std::size_t row = y * in.row();
      for (int j = 0; j < out.w; ++j) {
        const float* at = columns + j * c;
        const float first = j == 0 ? 2.0f : 1.0f;
        for (int k = 0; k < c; k += 8) {
          put(row + 2 * j * c + k, load(at + k) * 2);
          put(row + (2 * j + 1) * c + k, load(at + k) * first + load(at + c + k));
        }
      }
    }
    if constexpr (Mask) activation_.add_slope_gradient(worker, sum(slope_gradient));
  }

  Activation activation_;
};

/// Bilinear doubling (align_corners=False): weights 3/4 and 1/4, the border repeated.
class BilinearLayer final : public ResamplingLayer {
 public:
  BilinearLayer(Plan& plan, int in, int out) : ResamplingLayer(plan, in, out, plan.maps[out].shape) {}

  void forward(const Worker& worker) const override {
    const Shape &in = in_map_.shape, &out = out_map_.shape;
    const int c = in.c;
    const float* x = worker.arena + in_map_.value + in.origin();
    float* y = worker.arena + out_map_.value + out.origin();
    float* columns = worker.arena + row_at_;
    for (int i = 0; i < out.h; ++i, y += out.row()) {
      const int other = std::min(std::max(i / 2 + (i % 2 == 0 ? -1 : 1), 0), in.h - 1);
      const float *near = x + i / 2 * in.row(), *far = x + other * in.row();
      for (int k = 0; k < in.w * c; k += 8) store(columns + k, load(near + k) * 0.75f + load(far + k) * 0.25f);
      for (int j = 0; j < in.w; ++j) {
        const float* at = columns + j * c;
        const float* left = j == 0 ? at : at - c;
        const float* right = j == in.w - 1 ? at : at + c;
        for (int k = 0; k < c; k += 8) {
          const v8 middle = load(at + k) * 0.75f;
          store(y + 2 * j * c + k, middle + load(left + k) * 0.25f);
          store(y + (2 * j + 1) * c + k, middle + load(right + k) * 0.25f);
        }
      }
    }
  }

  void backward(const Worker& worker) const override {
    const Shape &in = in_map_.shape, &out = out_map_.shape;
    const int c = in.c;
    // Of the four outputs that touch an input, the outer two are zeros of the halo at the border.
    const float* dy = worker.arena + gradient_at_;
    float* dx = worker.arena + slot_.at + in.origin();
    float* columns = worker.arena + row_at_;
    for (int i = 0; i < in.h; ++i, dx += in.row()) {
      const float* first = dy + 2 * i * out.row();
      const float *second = first + out.row(), *third = second + out.row(), *fourth = third + out.row();
      const float second_weight = i == 0 ? 1.0f : 0.75f, third_weight = i == in.h - 1 ? 1.0f : 0.75f;
      for (std::size_t k = 0; k < out.row(); k += 8) {
        store(columns + k, (load(first + k) + load(fourth + k)) * 0.25f + load(second + k) * second_weight +
                               load(third + k) * third_weight);
      }
      for (int j = 0; j < in.w; ++j) {
        const float* at = columns + 2 * j * c;
        const float left = j == 0 ? 1.0f : 0.75f, right = j == in.w - 1 ? 1.0f : 0.75f;
        for (int k = 0; k < c; k += 8) {
          v8 g = (load(at + k) + load(at + 3 * c + k)) * 0.25f + load(at + c + k) * left + load(at + 2 * c + k) * right;
          if (slot_.accumulate) g += load(dx + j * c + k);
          store(dx + j * c + k, g);
        }
      }
    }
  }
};

// Sums over many pixels are sums of rows' sums, which costs nothing and keeps rounding errors small.

/// sums[c] += over a row of pixels.
inline void add_row(float* sums, const float* x, int pixels, int c) {
  for (int k = 0; k < c; k += 16) {
    v8 a{}, b{};
    for (int j = 0; j < pixels; ++j) {
      a += load(x + std::size_t(j) * c + k);
      b += load(x + std::size_t(j) * c + k + 8);
    }
    store(sums + k, load(sums + k) + a);
    store(sums + k + 8, load(sums + k + 8) + b);
  }
}
/// sums[c] += products over a row of pixels.
inline void add_row_products(float* sums, const float* x, const float* y, int pixels, int c) {
  for (int k = 0; k < c; k += 16) {
    v8 a{}, b{};
    for (int j = 0; j < pixels; ++j) {
      const std::size_t at = std::size_t(j) * c + k;
      a += load(x + at) * load(y + at);
      b += load(x + at + 8) * load(y + at + 8);
    }
    store(sums + k, load(sums + k) + a);
    store(sums + k + 8, load(sums + k + 8) + b);
  }
}

/// Small dense layers: weights (out, in).
inline void dense(float* y, const float* weights, const float* x, int out, int in) {
  for (int o = 0; o < out; ++o) {
    float total = 0;
    for (int i = 0; i < in; ++i) total += weights[o * in + i] * x[i];
    y[o] = total;
  }
}
inline void dense_backward(float* dx, float* dweights, const float* dy, const float* weights, const float* x, int out,
                           int in) {
  for (int o = 0; o < out; ++o) {
    for (int i = 0; i < in; ++i) {
      dweights[o * in + i] += dy[o] * x[i];
      dx[i] += dy[o] * weights[o * in + i];
    }
  }
}

/// Selective kernel feature fusion: a weighted sum of maps; softmax over the maps for each channel.
class FusionLayer final : public Layer {
 public:
  struct Weights {
    std::size_t squeeze, slope;
    std::vector<std::size_t> expand;
    int squeezed;
  };

  FusionLayer(Plan& plan, std::vector<int> inputs, Weights weights, int out)
      : inputs_(std::move(inputs)), out_(out), w_(std::move(weights)), out_map_(plan.maps[out]) {
    for (int map : inputs_) values_.push_back(plan.maps[map].value);
    const std::size_t c = out_map_.shape.c;
    mean_at_ = plan.new_floats(c);
    hidden_at_ = plan.new_floats(w_.squeezed);
    share_at_ = plan.new_floats(c * inputs_.size());
    scratch_at_ = plan.new_floats(c * (inputs_.size() + 1));
  }

  void forward(const Worker& worker) const override {
    const Shape& s = out_map_.shape;
    const int c = s.c, n = int(inputs_.size()), q = w_.squeezed;
    float* mean = worker.arena + mean_at_;
    float* hidden = worker.arena + hidden_at_;
    float* share = worker.arena + share_at_;
    std::fill(mean, mean + c, 0.0f);
    for (int y = 0; y < s.h; ++y) {
      for (std::size_t value : values_) add_row(mean, worker.arena + value + s.origin() + y * s.row(), s.w, c);
    }
    for (int k = 0; k < c; ++k) mean[k] /= float(s.pixels());
    dense(hidden, worker.primary + w_.squeeze, mean, q, c);
    std::array<float, most_channels / 8> squeezed;
    const float slope = worker.primary[w_.slope];
    for (int k = 0; k < q; ++k) squeezed[k] = hidden[k] > 0 ? hidden[k] : slope * hidden[k];
    for (int t = 0; t < n; ++t) dense(share + t * c, worker.primary + w_.expand[t], squeezed.data(), c, q);
    for (int k = 0; k < c; ++k) {
      float most = share[k], total = 0;
      for (int t = 1; t < n; ++t) most = std::max(most, share[t * c + k]);
      for (int t = 0; t < n; ++t) total += share[t * c + k] = std::exp(share[t * c + k] - most);
      for (int t = 0; t < n; ++t) share[t * c + k] /= total;
    }
    float* out = worker.arena + out_map_.value;
    for (int y = 0; y < s.h; ++y) {
      for (int t = 0; t < n; ++t) {
        const std::size_t row = s.origin() + y * s.row();
        const float* x = worker.arena + values_[t] + row;
        for (int k = 0; k < c; k += 16) {
          const v8 a = load(share + t * c + k), b = load(share + t * c + k + 8);
          for (int j = 0; j < s.w; ++j) {
            const std::size_t at = std::size_t(j) * c + k;
            float* to = out + row + at;
            store(to, load(x + at) * a + (t == 0 ? v8{} : load(to)));
            store(to + 8, load(x + at + 8) * b + (t == 0 ? v8{} : load(to + 8)));
          }
        }
      }
    }
  }

  void plan_backward(Plan& plan) override {
    gradient_at_ = plan.maps[out_].gradient;
    for (int map : inputs_) slots_.push_back(plan.add_gradient(map));
    plan.release_gradient(out_);
    plan.release_value(out_);
  }

  void backward(const Worker& worker) const override {
    const Shape& s = out_map_.shape;
    const int c = s.c, n = int(inputs_.size()), q = w_.squeezed;
    const float* dy = worker.arena + gradient_at_;
    const float* mean = worker.arena + mean_at_;
    const float* hidden = worker.arena + hidden_at_;
    const float* share = worker.arena + share_at_;
    float* dshare = worker.arena + scratch_at_;
    float* dmean = dshare + n * c;
    std::fill(dshare, dmean + c, 0.0f);
    for (int y = 0; y < s.h; ++y) {
      const std::size_t row = s.origin() + y * s.row();
      for (int t = 0; t < n; ++t) add_row_products(dshare + t * c, dy + row, worker.arena + values_[t] + row, s.w, c);
    }
    for (int k = 0; k < c; ++k) {
      float average = 0;
      for (int t = 0; t < n; ++t) average += share[t * c + k] * dshare[t * c + k];
      for (int t = 0; t < n; ++t) dshare[t * c + k] = share[t * c + k] * (dshare[t * c + k] - average);
    }
    std::array<float, most_channels / 8> squeezed, dsqueezed{};
    const float slope = worker.primary[w_.slope];
    for (int k = 0; k < q; ++k) squeezed[k] = hidden[k] > 0 ? hidden[k] : slope * hidden[k];
    for (int t = 0; t < n; ++t) {
      dense_backward(dsqueezed.data(), worker.gradient + w_.expand[t], dshare + t * c, worker.primary + w_.expand[t],
                     squeezed.data(), c, q);
    }
    for (int k = 0; k < q; ++k) {
      if (hidden[k] > 0) continue;
      worker.gradient[w_.slope] += dsqueezed[k] * hidden[k];
      dsqueezed[k] *= slope;
    }
    dense_backward(dmean, worker.gradient + w_.squeeze, dsqueezed.data(), worker.primary + w_.squeeze, mean, q, c);
    for (int k = 0; k < c; ++k) dmean[k] /= float(s.pixels());
    for (int y = 0; y < s.h; ++y) {
      const std::size_t row = s.origin() + y * s.row();
      for (int t = 0; t < n; ++t) {
        float* dx = worker.arena + slots_[t].at + row;
        const bool accumulate = slots_[t].accumulate;
        for (int k = 0; k < c; k += 16) {
          const v8 a = load(share + t * c + k), b = load(share + t * c + k + 8);
          const v8 da = load(dmean + k), db = load(dmean + k + 8);
          for (int j = 0; j < s.w; ++j) {
            const std::size_t at = std::size_t(j) * c + k;
            v8 g = load(dy + row + at) * a + da, h = load(dy + row + at + 8) * b + db;
            if (accumulate) {
              g += load(dx + at);
              h += load(dx + at + 8);
            }
            store(dx + at, g);
            store(dx + at + 8, h);
          }
        }
      }
    }
  }

 private:
  std::vector<int> inputs_;
  int out_;
  Weights w_;
  Map out_map_;
  std::vector<std::size_t> values_;
  std::vector<GradientSlot> slots_;
  std::size_t mean_at_, hidden_at_, share_at_, scratch_at_, gradient_at_ = 0;
};

}  // namespace mirnet_train
