// The second half of MIRNet's dual attention unit: out = x + conv1x1([SA(r), CA(r)]).
//
// SA(r) = r times one weight per pixel, CA(r) = r times one weight per channel. Neither the concatenation nor CA(r) is
// ever stored: the convolution is a sum of two, and the channels' weights go into a copy of the second one's weights.
#pragma once

#include "layers.hpp"

namespace mirnet_train {

class AttentionLayer final : public Layer {
 public:
  struct Weights {
    std::size_t spatial;  // (1, 2, 5, 5)
    std::size_t channel_squeeze, channel_expand;
    Conv from_spatial, from_channel;  // the two halves of conv1x1
  };

  AttentionLayer(Plan& plan, int r, int x, const Weights& weights, int out) : r_(r), x_(x), out_(out), w_(weights) {
    s_ = plan.maps[out].shape;
    r_at_ = plan.maps[r].value;
    x_at_ = plan.maps[x].value;
    out_at_ = plan.maps[out].value;
    scaled_map_ = plan.new_map(s_);
    scaled_at_ = plan.maps[scaled_map_].value;
    wide_ = (s_.w + 7) / 8 * 8;
    plane_row_ = wide_ + 8;
    plane_ = std::size_t(s_.h + 4) * plane_row_;
    pooled_at_ = plan.new_floats(2 * plane_);
    weight_at_ = plan.new_floats(plane_);
    ties_at_ = plan.new_floats(plane_);
    dlogit_at_ = plan.new_floats(plane_);
    dpooled_at_ = plan.new_floats(2 * plane_);
    const std::size_t c = s_.c;
    mean_at_ = plan.new_floats(c);
    hidden_at_ = plan.new_floats(c);
    gate_at_ = plan.new_floats(c);
    small_at_ = plan.new_floats(3 * c);
    matrix_at_ = plan.new_floats(c * c);
  }

  void forward(const Worker& worker) const override {
    const int c = s_.c;
    pool(worker);
    spatial_weights(worker);
    gates(worker);

    const float* weight = worker.arena + weight_at_;
    for (int y = 0; y < s_.h; ++y) {
      const float* from = worker.arena + r_at_ + s_.origin() + y * s_.row();
      float* to = worker.arena + scaled_at_ + s_.origin() + y * s_.row();
      for (int x = 0; x < s_.w; ++x, from += c, to += c) {
        const v8 a = splat(weight[plane_at(y, x)]);
        for (int k = 0; k < c; k += 8) store(to + k, load(from + k) * a);
      }
    }

    const float* gate = worker.arena + gate_at_;
    const float* weights = worker.primary + w_.from_channel.primary;
    float* gated = worker.arena + matrix_at_;
    for (int block = 0; block < c; block += tile_lanes) {
      for (int k = 0; k < c; ++k) {
        for (int lane = 0; lane < tile_lanes; ++lane) {
          const std::size_t at = (std::size_t(block) / tile_lanes * c + k) * tile_lanes + lane;
          gated[at] = weights[at] * gate[k];
        }
      }
    }
    const Term terms[] = {{worker.arena + scaled_at_ + s_.origin(), worker.primary + w_.from_spatial.primary, c},
                          {worker.arena + r_at_ + s_.origin(), gated, c}};
    convolve<Store::plain>(terms, 2, straight(s_, s_), c / tile_lanes,
                           {worker.arena + out_at_ + s_.origin(), worker.arena + x_at_ + s_.origin()});
  }

  void plan_backward(Plan& plan) override {
    dout_at_ = plan.maps[out_].gradient;
    dr_at_ = plan.add_gradient(r_).at;
    x_slot_ = plan.pass_gradient(out_, x_);
    if (x_slot_.wanted) plan.release_gradient(out_);
    plan.release_value(out_);
    plan.release_value(scaled_map_);
  }

  void backward(const Worker& worker) const override {
    const int c = s_.c, squeezed = c / 8, blocks = c / tile_lanes;
    const Walk walk = straight(s_, s_);
    const float* dout = worker.arena + dout_at_ + s_.origin();
    const float* r = worker.arena + r_at_ + s_.origin();
    float* dr = worker.arena + dr_at_ + s_.origin();

    const GradientTerm spatial{worker.arena + scaled_at_ + s_.origin(), worker.gradient + w_.from_spatial.primary, c};
    weight_gradient(&spatial, 1, walk, blocks, dout);
    float* dgated = worker.arena + matrix_at_;
    std::fill(dgated, dgated + std::size_t(c) * c, 0.0f);
    const GradientTerm channel{r, dgated, c};
    weight_gradient(&channel, 1, walk, blocks, dout);

    // The gradient of the weights with the gates in them gives both factors' gradients.
    const float* gate = worker.arena + gate_at_;
    const float* mean = worker.arena + mean_at_;
    const float* hidden = worker.arena + hidden_at_;
    float* dgate = worker.arena + small_at_;
    float* dmean = dgate + c;
    float* dhidden = dmean + c;
    std::fill(dgate, dgate + 3 * c, 0.0f);
    const float* weights = worker.primary + w_.from_channel.primary;
    float* dweights = worker.gradient + w_.from_channel.primary;
    for (int block = 0; block < blocks; ++block) {
      for (int k = 0; k < c; ++k) {
        for (int lane = 0; lane < tile_lanes; ++lane) {
          const std::size_t at = (std::size_t(block) * c + k) * tile_lanes + lane;
          dgate[k] += dgated[at] * weights[at];
          dweights[at] += dgated[at] * gate[k];
        }
      }
    }
    for (int k = 0; k < c; ++k) dgate[k] *= gate[k] * (1 - gate[k]);
    dense_backward(dhidden, worker.gradient + w_.channel_expand, dgate, worker.primary + w_.channel_expand, hidden, c,
                   squeezed);
    for (int k = 0; k < squeezed; ++k) dhidden[k] = hidden[k] > 0 ? dhidden[k] : 0;
    dense_backward(dmean, worker.gradient + w_.channel_squeeze, dhidden, worker.primary + w_.channel_squeeze, mean,
                   squeezed, c);
    for (int k = 0; k < c; ++k) dmean[k] /= float(s_.pixels());

    // dr holds the gradient of SA(r) first.
    const Term to_spatial{dout, worker.secondary + w_.from_spatial.secondary, c};
    convolve<Store::plain>(&to_spatial, 1, walk, blocks, {dr});
    float* dlogit = worker.arena + dlogit_at_;
    const float* weight = worker.arena + weight_at_;
    for (int y = 0; y < s_.h; ++y) {
      for (int x = 0; x < s_.w; ++x) {
        const std::size_t at = y * s_.row() + std::size_t(x) * c;
        v8 total{};
        for (int k = 0; k < c; k += 8) total += load(dr + at + k) * load(r + at + k);
        const float a = weight[plane_at(y, x)];
        dlogit[plane_at(y, x)] = sum(total) * a * (1 - a);
      }
    }
    spatial_backward(worker);

    const float* most = worker.arena + pooled_at_;
    const float* ties = worker.arena + ties_at_;
    const float* dmost = worker.arena + dpooled_at_;
    const float* daverage = dmost + plane_;
    for (int y = 0; y < s_.h; ++y) {
      for (int x = 0; x < s_.w; ++x) {
        const std::size_t at = y * s_.row() + std::size_t(x) * c, p = plane_at(y, x);
        const v8 a = splat(weight[p]), largest = splat(most[p]);
        const v8 to_largest = splat(dmost[p] / ties[p]), to_all = splat(daverage[p] / float(c));
        for (int k = 0; k < c; k += 8) {
          const v8 share = load(r + at + k) == largest ? to_largest : v8{};
          store(dr + at + k, load(dr + at + k) * a + load(dmean + k) + to_all + share);
        }
      }
    }

    const float* transposed = worker.secondary + w_.from_channel.secondary;
    for (int block = 0; block < c; block += tile_lanes) {
      for (int k = 0; k < c; ++k) {
        for (int lane = 0; lane < tile_lanes; ++lane) {
          const std::size_t at = (std::size_t(block) / tile_lanes * c + k) * tile_lanes + lane;
          dgated[at] = transposed[at] * gate[block + lane];
        }
      }
    }
    const Term to_channel{dout, dgated, c};
    convolve<Store::plain>(&to_channel, 1, walk, blocks, {dr, dr});
    if (x_slot_.wanted) add_map(worker.arena + x_slot_.at, worker.arena + dout_at_, s_);
  }

 private:
  using v8_unaligned = float __attribute__((vector_size(32), aligned(4), may_alias));

  std::size_t plane_at(int y, int x) const { return std::size_t(y + 2) * plane_row_ + x + 2; }

  /// Largest and mean value of each pixel's channels, and the mean of each channel.
  void pool(const Worker& worker) const {
    const int c = s_.c;
    float* most = worker.arena + pooled_at_;
    float* average = most + plane_;
    float* ties = worker.arena + ties_at_;
    float* mean = worker.arena + mean_at_;
    std::fill(mean, mean + c, 0.0f);
    for (int y = 0; y < s_.h; ++y) {
      const float* row = worker.arena + r_at_ + s_.origin() + y * s_.row();
      add_row(mean, row, s_.w, c);
      for (int x = 0; x < s_.w; ++x) {
        const float* at = row + std::size_t(x) * c;
        v8 largest = load(at), total = largest;
        for (int k = 8; k < c; k += 8) {
          const v8 v = load(at + k);
          largest = v > largest ? v : largest;
          total += v;
        }
        float m = largest[0];
        for (int i = 1; i < 8; ++i) m = std::max(m, largest[i]);
        i8 equal{};
        for (int k = 0; k < c; k += 8) equal += load(at + k) == splat(m);
        int count = 0;
        for (int i = 0; i < 8; ++i) count -= equal[i];
        most[plane_at(y, x)] = m;
        average[plane_at(y, x)] = sum(total) / float(c);
        ties[plane_at(y, x)] = float(std::max(count, 1));
      }
    }
    for (int k = 0; k < c; ++k) mean[k] /= float(s_.pixels());
  }

  void spatial_weights(const Worker& worker) const {
    const float* kernel = worker.primary + w_.spatial;
    float* weight = worker.arena + weight_at_;
    for (int y = 0; y < s_.h; ++y) {
      for (int x = 0; x < wide_; x += 8) {
        v8 total{};
        for (int plane = 0; plane < 2; ++plane) {
          const float* from = worker.arena + pooled_at_ + plane * plane_ + std::size_t(y) * plane_row_ + x;
          for (int ky = 0; ky < 5; ++ky) {
            for (int kx = 0; kx < 5; ++kx) {
              const float tap = kernel[(plane * 5 + ky) * 5 + kx];
              total += *reinterpret_cast<const v8_unaligned*>(from + ky * plane_row_ + kx) * tap;
            }
          }
        }
        for (int i = 0; i < std::min(8, s_.w - x); ++i) weight[plane_at(y, x + i)] = 1 / (1 + std::exp(-total[i]));
      }
    }
  }

  void spatial_backward(const Worker& worker) const {
    const float* kernel = worker.primary + w_.spatial;
    float* dkernel = worker.gradient + w_.spatial;
    const float* dlogit = worker.arena + dlogit_at_;
    for (int plane = 0; plane < 2; ++plane) {
      const float* pooled = worker.arena + pooled_at_ + plane * plane_;
      float* dpooled = worker.arena + dpooled_at_ + plane * plane_;
      for (int ky = 0; ky < 5; ++ky) {
        v8 totals[5]{};
        for (int y = 0; y < s_.h; ++y) {
          const float* from = pooled + std::size_t(y + ky) * plane_row_;
          for (int x = 0; x < wide_; x += 8) {  // beyond the width, the gradient's plane is zero
            const v8 d = *reinterpret_cast<const v8_unaligned*>(dlogit + plane_at(y, x));
            for (int kx = 0; kx < 5; ++kx) totals[kx] += *reinterpret_cast<const v8_unaligned*>(from + x + kx) * d;
          }
        }
        for (int kx = 0; kx < 5; ++kx) dkernel[(plane * 5 + ky) * 5 + kx] += sum(totals[kx]);
      }
      for (int y = 0; y < s_.h; ++y) {
        for (int x = 0; x < wide_; x += 8) {
          v8 total{};
          for (int ky = 0; ky < 5; ++ky) {
            const float* from = dlogit + std::size_t(y + 4 - ky) * plane_row_ + x;
            for (int kx = 0; kx < 5; ++kx) {
              const float tap = kernel[(plane * 5 + ky) * 5 + kx];
              total += *reinterpret_cast<const v8_unaligned*>(from + 4 - kx) * tap;
            }
          }
          *reinterpret_cast<v8_unaligned*>(dpooled + plane_at(y, x)) = total;
        }
      }
    }
  }

  void gates(const Worker& worker) const {
    const int c = s_.c, squeezed = c / 8;
    float* hidden = worker.arena + hidden_at_;
    float* gate = worker.arena + gate_at_;
    dense(hidden, worker.primary + w_.channel_squeeze, worker.arena + mean_at_, squeezed, c);
    for (int k = 0; k < squeezed; ++k) hidden[k] = std::max(hidden[k], 0.0f);
    dense(gate, worker.primary + w_.channel_expand, hidden, c, squeezed);
    for (int k = 0; k < c; ++k) gate[k] = 1 / (1 + std::exp(-gate[k]));
  }

  int r_, x_, out_, scaled_map_;
  Weights w_;
  Shape s_;
  int wide_, plane_row_;  // planes have a border of two, and rows a multiple of 8 wide
  std::size_t plane_;
  std::size_t r_at_, x_at_, out_at_, scaled_at_;
  std::size_t pooled_at_, weight_at_, ties_at_, dlogit_at_, dpooled_at_;
  std::size_t mean_at_, hidden_at_, gate_at_, small_at_, matrix_at_;
  std::size_t dout_at_ = 0, dr_at_ = 0;
  GradientSlot x_slot_;
};

}  // namespace mirnet_train
