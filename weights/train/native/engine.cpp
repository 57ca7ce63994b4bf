// A training engine for MIRNet on CPUs: both passes, the loss and the optimizer, behind a C interface for Python.
//
// Each thread takes whole samples through the network and adds up its own gradient; the threads' sums are added at the
// end of the step. A thread always gets the same samples of a batch, so results do not depend on timing.
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attention.hpp"
#include "layers.hpp"
#include "memory.hpp"
#include "optimizer.hpp"

namespace mirnet_train {
namespace {

struct Configuration {
  int features, groups, blocks, streams, columns, channels, unshuffle, patch_h, patch_w, threads;

  // What the network sees of a patch.
  int map_h() const { return patch_h / unshuffle; }
  int map_w() const { return patch_w / unshuffle; }
  int map_channels() const { return channels * unshuffle * unshuffle; }
  /// Channels of the maps of images, with padding.
  int image_width() const { return (map_channels() + 3) / 4 * 4; }

  bool supported() const {
    if (features < 16 || features % 16 != 0 || groups < 1 || blocks < 1 || columns < 1 || threads < 1) return false;
    if (streams < 1 || streams > most_streams || unshuffle < 1) return false;
    if (channels < 1 || channels > 4 || map_channels() > tile_lanes) return false;
    if ((features << (streams - 1)) > most_channels) return false;
    const int multiple = unshuffle << (streams - 1);
    return patch_h >= multiple && patch_w >= multiple && patch_h % multiple == 0 && patch_w % multiple == 0;
  }
};

/// The network's layers and parameters. Parameters are registered in PyTorch's order, before any layer is built.
class Network {
 public:
  Parameters parameters;
  Plan plan;
  int image, result, result_gradient;

  explicit Network(const Configuration& configuration) : n_(configuration) {
    const int f = n_.features, c = n_.map_channels(), image_width = n_.image_width();
    const Conv conv_in = parameters.pack({parameters.tensor(std::size_t(f) * c * 9), f, c, 3, c, 0}, image_width, f);
    std::vector<Group> groups(n_.groups);
    for (Group& group : groups) {
      for (int b = 0; b < n_.blocks; ++b) group.blocks.push_back(register_block());
      group.conv_out = parameters.conv(f, f, 3);
    }
    const Conv conv_out =
        parameters.pack_narrow({parameters.tensor(std::size_t(f) * c * 9), c, f, 3, f, 0}, f, image_width);

    const Shape full{n_.map_h(), n_.map_w(), f};
    image = plan.new_map({full.h, full.w, image_width});
    plan.maps[image].wants_gradient = false;
    result = plan.new_map({full.h, full.w, tile_lanes});
    result_gradient = plan.new_map({full.h, full.w, image_width});
    int x = plan.new_map(full);
    plan.add<ConvLayer>(std::vector<ConvLayer::Input>{{image, 3, conv_in}}, -1, x);
    for (const Group& group : groups) {
      int h = x;
      for (const Block& block : group.blocks) h = build_block(block, h);
      x = convolved({{h, 3, group.conv_out}}, x, full);
    }
    plan.add<OutputLayer>(x, conv_out, result, result_gradient);
    plan.plan_backward();
  }

 private:
  struct DualAttention {
    Conv first, second;
    AttentionLayer::Weights attention;
  };
  struct Up {
    Conv reduce, transposed, top, bottom;
    std::size_t first_slope, second_slope;
  };
  struct Down {
    Conv reduce, conv, top, bottom;
    std::size_t first_slope, second_slope;
  };
  struct Block {
    std::vector<DualAttention> units;
    std::vector<std::vector<Up>> last_up;                                    // [stream]
    std::array<std::array<std::vector<Up>, most_streams>, most_streams> up;  // [source][distance]
    std::array<std::array<std::vector<Down>, most_streams>, most_streams> down;
    Conv conv_out;
    std::vector<FusionLayer::Weights> fusions;
  };
  struct Group {
    std::vector<Block> blocks;
    Conv conv_out;
  };

  Configuration n_;
  std::optional<std::size_t> attention_slope_;  // one for the whole network

  DualAttention register_attention(int c) {
    DualAttention unit;
    unit.first = parameters.conv(c, c, 3);
    if (!attention_slope_) attention_slope_ = parameters.plain(1);
    unit.second = parameters.conv(c, c, 3);
    unit.attention.spatial = parameters.plain(50);
    unit.attention.channel_squeeze = parameters.plain(std::size_t(c) / 8 * c);
    unit.attention.channel_expand = parameters.plain(std::size_t(c) / 8 * c);
    const std::size_t both = parameters.tensor(std::size_t(c) * 2 * c);
    unit.attention.from_spatial = parameters.pack({both, c, c, 1, 2 * c, 0}, c, c);
    unit.attention.from_channel = parameters.pack({both, c, c, 1, 2 * c, c}, c, c);
    return unit;
  }

  std::vector<Up> register_ups(int c, int steps) {
    std::vector<Up> ups(steps);
    for (Up& up : ups) {
      up.reduce = parameters.conv(c, c, 1);
      up.first_slope = parameters.plain(1);
      up.transposed = parameters.transposed(c);
      up.second_slope = parameters.plain(1);
      up.top = parameters.conv(c / 2, c, 1);
      up.bottom = parameters.conv(c / 2, c, 1);
      c /= 2;
    }
    return ups;
  }

  std::vector<Down> register_downs(int c, int steps) {
    std::vector<Down> downs(steps);
    for (Down& down : downs) {
      down.reduce = parameters.conv(c, c, 1);
      down.first_slope = parameters.plain(1);
      down.conv = parameters.conv(c, c, 3);
      down.second_slope = parameters.plain(1);
      down.top = parameters.conv(2 * c, c, 1);
      down.bottom = parameters.conv(2 * c, c, 1);
      c *= 2;
    }
    return downs;
  }

  Block register_block() {
    Block block;
    const int f = n_.features, streams = n_.streams;
    for (int s = 0; s < streams; ++s) block.units.push_back(register_attention(f << s));
    block.last_up.resize(streams);
    for (int s = 1; s < streams; ++s) block.last_up[s] = register_ups(f << s, s);
    for (int s = 0; s < streams; ++s)
      for (int d = streams - 1 - s; d > 0; --d) block.down[s][d] = register_downs(f << s, d);
    for (int s = streams - 1; s >= 0; --s)
      for (int d = s; d > 0; --d) block.up[s][d] = register_ups(f << s, d);
    block.conv_out = parameters.conv(f, f, 3);
    for (int t = 0; t < streams; ++t) {
      FusionLayer::Weights w;
      const int c = f << t;
      w.squeezed = std::max(c / 8, 4);
      w.squeeze = parameters.plain(std::size_t(w.squeezed) * c);
      w.slope = parameters.plain(1);
      for (int s = 0; s < streams; ++s) w.expand.push_back(parameters.plain(std::size_t(c) * w.squeezed));
      block.fusions.push_back(std::move(w));
    }
    return block;
  }

  Shape shape_of(int map) const { return plan.maps[map].shape; }

  int convolved(std::vector<ConvLayer::Input> inputs, int base, Shape shape) {
    const int out = plan.new_map(shape);
    plan.add<ConvLayer>(std::move(inputs), base, out);
    return out;
  }
  int convolved_prelu(int in, int k, Conv conv, std::size_t slope) {
    const int out = plan.new_map(shape_of(in)), activated = plan.new_map(shape_of(in));
    plan.add<ConvLayer>(std::vector<ConvLayer::Input>{{in, k, conv}}, -1, out, activated, int(slope));
    return activated;
  }

  int build_attention(const DualAttention& unit, int x) {
    const Shape shape = shape_of(x);
    const int hidden = convolved_prelu(x, 3, unit.first, *attention_slope_);
    const int r = convolved({{hidden, 3, unit.second}}, -1, shape);
    const int out = plan.new_map(shape);
    plan.add<AttentionLayer>(r, x, unit.attention, out);
    return out;
  }

  int build_downs(const std::vector<Down>& downs, int x) {
    for (const Down& down : downs) {
      const Shape in = shape_of(x), half{in.h / 2, in.w / 2, in.c};
      const int a = convolved_prelu(x, 1, down.reduce, down.first_slope);
      const int b = convolved_prelu(a, 3, down.conv, down.second_slope);
      const int top = plan.new_map(half), bottom = plan.new_map(half);
      plan.add<BlurLayer>(b, top);
      plan.add<BlurLayer>(x, bottom);
      x = convolved({{top, 1, down.top}, {bottom, 1, down.bottom}}, -1, {half.h, half.w, 2 * in.c});
    }
    return x;
  }

  int build_ups(const std::vector<Up>& ups, int x) {
    for (const Up& up : ups) {
      const Shape in = shape_of(x), twice{2 * in.h, 2 * in.w, in.c}, last{2 * in.h, 2 * in.w, in.c / 2};
      const int a = convolved_prelu(x, 1, up.reduce, up.first_slope);
      const int wide = plan.new_map(twice), b = plan.new_map(twice);
      plan.add<TransposedLayer>(a, up.transposed, wide, b, int(up.second_slope));
      // The 1x1 convolution and the doubling commute; before it, there are a quarter of the pixels.
      const int narrow = convolved({{x, 1, up.bottom}}, -1, {in.h, in.w, in.c / 2});
      const int out = plan.new_map(last);
      plan.add<BilinearLayer>(narrow, out);
      plan.release_value(narrow);
      plan.add<ConvLayer>(std::vector<ConvLayer::Input>{{b, 1, up.top}}, out, out);
      x = out;
    }
    return x;
  }

  int build_resized(const Block& block, int x, int source, int target) {
    if (source < target) return build_downs(block.down[source][target - source], x);
    if (source > target) return build_ups(block.up[source][source - target], x);
    return x;
  }

  int build_fusion(const FusionLayer::Weights& weights, std::vector<int> inputs) {
    const int out = plan.new_map(shape_of(inputs[0]));
    plan.add<FusionLayer>(std::move(inputs), weights, out);
    return out;
  }

  int build_block(const Block& block, int x) {
    std::vector<int> features;
    int h = x;
    for (int s = 0; s < n_.streams; ++s) {
      if (s > 0) h = build_resized(block, h, s - 1, s);
      h = build_attention(block.units[s], h);
      features.push_back(h);
    }
    for (int column = 1; column < n_.columns; ++column) {
      std::vector<int> next;
      for (int t = 0; t < n_.streams; ++t) {
        std::vector<int> inputs;
        for (int s = 0; s < n_.streams; ++s) inputs.push_back(build_resized(block, features[s], s, t));
        next.push_back(build_attention(block.units[t], build_fusion(block.fusions[t], std::move(inputs))));
      }
      features = std::move(next);
    }
    for (int s = 1; s < n_.streams; ++s) features[s] = build_ups(block.last_up[s], features[s]);
    const int mixed = build_fusion(block.fusions[0], features);
    return convolved({{mixed, 3, block.conv_out}}, x, shape_of(x));
  }
};

struct Batch {
  const float *noisy, *clean, *sample_weight;
  int size;
  float eps;
  float *losses, *errors;
};

class Engine {
 public:
  explicit Engine(const Configuration& configuration)
      : configuration_(configuration),
        network_(configuration),
        primary_(network_.parameters.primary().size()),
        secondary_(network_.parameters.secondary().size()) {
    for (int i = 0; i < configuration.threads; ++i) {
      arenas_.emplace_back(network_.plan.arena_floats());
      gradients_.emplace_back(network_.parameters.primary().size());
    }
  }

  std::size_t parameter_count() const { return network_.parameters.count(); }
  std::size_t arena_floats() const { return network_.plan.arena_floats(); }

  void step(const float* parameters, const Batch& batch, float* gradient) {
    pack(parameters);
    in_threads(configuration_.threads, [&](int thread) {
      gradients_[thread].clear();
      const Worker worker = worker_of(thread);
      for (int i = thread; i < batch.size; i += configuration_.threads) {
        forward(worker, batch.noisy + i * image_floats());
        loss(worker, batch, i);
        for (auto layer = network_.plan.layers.rbegin(); layer != network_.plan.layers.rend(); ++layer) {
          (*layer)->backward(worker);
        }
      }
    });
    const auto& source = network_.parameters.primary();
    in_threads(configuration_.threads, [&](int thread) {
      const auto [begin, end] = part(source.size(), thread);
      for (std::size_t i = begin; i < end; ++i) {
        if (source[i] < 0) continue;
        float total = 0;
        for (const Buffer& sums : gradients_) total += sums.data()[i];
        gradient[source[i]] = total;
      }
    });
  }

  void forward(const float* parameters, const float* noisy, int batch, float* out) {
    pack(parameters);
    in_threads(configuration_.threads, [&](int thread) {
      const Worker worker = worker_of(thread);
      for (int i = thread; i < batch; i += configuration_.threads) {
        const float* image = noisy + i * image_floats();
        forward(worker, image);
        for_each_value(worker,
                       [&](std::size_t at, float value, float*) { out[i * image_floats() + at] = image[at] + value; });
      }
    });
  }

 private:
  Configuration configuration_;
  Network network_;
  Buffer primary_, secondary_;
  std::vector<Buffer> arenas_, gradients_;

  std::size_t image_floats() const {
    return std::size_t(configuration_.channels) * configuration_.patch_h * configuration_.patch_w;
  }
  Worker worker_of(int thread) const {
    return {arenas_[thread].data(), gradients_[thread].data(), primary_.data(), secondary_.data()};
  }

  std::pair<std::size_t, std::size_t> part(std::size_t size, int thread) const {
    return {size * thread / configuration_.threads, size * (thread + 1) / configuration_.threads};
  }

  void pack(const float* parameters) {
    in_threads(configuration_.threads, [&](int thread) {
      for (auto [source, to] : {std::pair{&network_.parameters.primary(), primary_.data()},
                                std::pair{&network_.parameters.secondary(), secondary_.data()}}) {
        const auto [begin, end] = part(source->size(), thread);
        for (std::size_t i = begin; i < end; ++i) to[i] = (*source)[i] < 0 ? 0.0f : parameters[(*source)[i]];
      }
    });
  }

  void forward(const Worker& worker, const float* noisy) const {
    const Map& map = network_.plan.maps[network_.image];
    float* to = worker.arena + map.value + map.shape.origin();
    for_each_sample(
        [&](std::size_t at, int y, int x, int c) { to[y * map.shape.row() + x * map.shape.c + c] = noisy[at]; });
    for (const auto& layer : network_.plan.layers) layer->forward(worker);
  }

  /// visit(place in the image, row, column and channel in a map): channel (c * u + dy) * u + dx of the network's maps
  /// is channel c of the image at (u * y + dy, u * x + dx), as PyTorch's pixel_unshuffle has it.
  template <class Visit>
  void for_each_sample(Visit&& visit) const {
    const int u = configuration_.unshuffle;
    std::size_t at = 0;
    for (int c = 0; c < configuration_.channels; ++c)
      for (int y = 0; y < configuration_.patch_h; ++y)
        for (int x = 0; x < configuration_.patch_w; ++x) visit(at++, y / u, x / u, (c * u + y % u) * u + x % u);
  }

  /// visit(place in the image, result, where its gradient goes)
  template <class Visit>
  void for_each_value(const Worker& worker, Visit&& visit) const {
    const Map &result = network_.plan.maps[network_.result], &gradient = network_.plan.maps[network_.result_gradient];
    const float* value = worker.arena + result.value + result.shape.origin();
    float* to = worker.arena + gradient.value + gradient.shape.origin();
    for_each_sample([&](std::size_t at, int y, int x, int c) {
      visit(at, value[y * result.shape.row() + x * result.shape.c + c],
            to + y * gradient.shape.row() + x * gradient.shape.c + c);
    });
  }

  /// Charbonnier loss of a sample, and its gradient with respect to the result.
  void loss(const Worker& worker, const Batch& batch, int i) const {
    const float *noisy = batch.noisy + i * image_floats(), *clean = batch.clean + i * image_floats();
    const float scale = (batch.sample_weight ? batch.sample_weight[i] : 1.0f) / (float(batch.size) * image_floats());
    double loss = 0, error = 0;
    for_each_value(worker, [&](std::size_t at, float value, float* gradient) {
      const float d = noisy[at] + value - clean[at];
      const float root = std::sqrt(d * d + batch.eps * batch.eps);
      loss += root;
      error += double(d) * d;
      *gradient = root > 0 ? scale * d / root : 0.0f;
    });
    if (batch.losses) batch.losses[i] = float(loss / double(image_floats()));
    if (batch.errors) batch.errors[i] = float(error / double(image_floats()));
  }
};

}  // namespace
}  // namespace mirnet_train

using mirnet_train::Engine;
using mirnet_train::Optimizer;

extern "C" {

/// Null if the configuration is not supported or there is not enough memory.
void* engine_create(int features, int groups, int blocks, int streams, int columns, int channels, int unshuffle,
                    int patch_h, int patch_w, int threads) {
  const mirnet_train::Configuration configuration{features, groups,    blocks,  streams, columns,
                                                  channels, unshuffle, patch_h, patch_w, threads};
  if (!configuration.supported()) return nullptr;
  try {
    return new Engine(configuration);
  } catch (...) {  // nothing but memory can be missing, and no exception may pass into C
    return nullptr;
  }
}

void engine_destroy(void* engine) { delete static_cast<Engine*>(engine); }

std::int64_t engine_parameter_count(const void* engine) {
  return std::int64_t(static_cast<const Engine*>(engine)->parameter_count());
}

/// Bytes of feature maps that each thread works on.
std::int64_t engine_arena_bytes(const void* engine) {
  return std::int64_t(static_cast<const Engine*>(engine)->arena_floats() * sizeof(float));
}

/// Gradient of 1/batch * sum of sample_weight[i] * loss[i], loss[i] the mean of sqrt((out - clean)^2 + eps^2).
/// `sample_weight`, `losses` and `errors` (mean squared errors) may be null. One call at a time for each engine.
void engine_step(void* engine, const float* parameters, const float* noisy, const float* clean,
                 const float* sample_weight, int batch, float eps, float* gradient, float* losses, float* errors) {
  static_cast<Engine*>(engine)->step(parameters, {noisy, clean, sample_weight, batch, eps, losses, errors}, gradient);
}

/// Steps for `count` parameters, those of `matrices` by Muon. Null if there is not enough memory.
void* optimizer_create(const std::int64_t* offsets, const int* rows, const int* columns, const float* scales,
                       int matrices, std::int64_t count, int threads) {
  try {
    std::vector<Optimizer::Matrix> list;
    for (int i = 0; i < matrices; ++i) list.push_back({offsets[i], rows[i], columns[i], scales[i]});
    return new Optimizer(std::move(list), count, threads);
  } catch (...) {
    return nullptr;
  }
}

void optimizer_destroy(void* optimizer) { delete static_cast<Optimizer*>(optimizer); }

/// `options` are those of StepOptions, in their order. One call at a time for each optimizer.
void optimizer_step(void* optimizer, float* parameters, const float* gradient, float* first, float* second,
                    float* average, const double* options) {
  mirnet_train::StepOptions o;
  static_assert(sizeof o == 9 * sizeof(double));
  std::memcpy(&o, options, sizeof o);
  static_cast<Optimizer*>(optimizer)->step({parameters, first, second, average, gradient}, o);
}

void engine_forward(void* engine, const float* parameters, const float* noisy, int batch, float* out) {
  static_cast<Engine*>(engine)->forward(parameters, noisy, batch, out);
}

}  // extern "C"
