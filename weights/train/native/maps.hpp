// Feature maps of the training engine: their layout in memory, and who owns which piece of it when.
//
// A map is channels-last with a halo of one zero pixel all round: (h + 2) x (w + 2) pixels of c floats. A 3x3
// convolution is then a plain sum over neighbours at fixed distances, without a case for the border, and the three
// neighbours of one row lie next to each other in memory.
//
// The network is static, so all memory is planned once: values stay until the backward pass has used them, gradients
// only live between the layer that reads them last and the layer that writes them first. Buffers are only ever
// reused for maps of the same shape, which is what keeps the halos zero.
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace mirnet_train {

struct Shape {
  int h, w, c;

  auto operator<=>(const Shape&) const = default;
  std::size_t row() const { return std::size_t(w + 2) * c; }
  std::size_t floats() const { return (std::size_t(h + 2) * row() + 15) / 16 * 16; }
  /// Distance from the start of a map to its first real pixel.
  std::size_t origin() const { return row() + c; }
  /// Pixels from the first to the last real one, those of the halo between the rows included.
  int span() const { return h * (w + 2) - 2; }
  int pixels() const { return h * w; }
};

struct Map {
  Shape shape;
  std::size_t value = 0;
  std::size_t gradient = 0;
  bool has_value = true;      // while planning: the buffer is not free for others yet
  bool has_gradient = false;  // while planning: something has been added already
  bool wants_gradient = true;
  int pre = -1;    // for the output of a PReLU: the map of its input; gradients of both share one buffer
  int slope = -1;  // ... and its slope's place in the primary parameters
};

/// Where a layer adds its part of a map's gradient: the first one stores, the others accumulate.
struct GradientSlot {
  std::size_t at = 0;
  bool accumulate = false;
  bool wanted = false;
};

/// Everything one thread works on.
struct Worker {
  float* arena;
  float* gradient;         // in the order of the primary parameters
  const float* primary;    // parameters, packed; convolutions in the layout of their gradients
  const float* secondary;  // convolutions packed for the other direction
};

class Plan;

class Layer {
 public:
  virtual ~Layer() = default;
  virtual void forward(const Worker& worker) const = 0;
  virtual void backward(const Worker& worker) const = 0;
  /// Called once, in the order of the backward pass, to settle where gradients are.
  virtual void plan_backward(Plan& plan) = 0;
};

class Plan {
 public:
  std::vector<Map> maps;
  std::vector<std::unique_ptr<Layer>> layers;

  std::size_t arena_floats() const { return used_; }

  int new_map(Shape shape) {
    Map map{shape};
    map.value = take(shape);
    maps.push_back(map);
    return int(maps.size()) - 1;
  }
  std::size_t new_floats(std::size_t count) {
    const std::size_t at = used_;
    used_ += (count + 15) / 16 * 16;
    return at;
  }
  /// No layer planned from now on, nor a later one of the backward pass, reads the map's value.
  void release_value(int map) {
    if (!std::exchange(maps[map].has_value, false)) return;
    free_[maps[map].shape].push_back(maps[map].value);
  }

  template <class T, class... Args>
  void add(Args&&... args) {
    layers.push_back(std::make_unique<T>(*this, std::forward<Args>(args)...));
  }

  // For Layer::plan_backward.
  GradientSlot add_gradient(int map) {
    Map& m = maps[map];
    if (!m.wants_gradient) return {};
    const bool accumulate = m.has_gradient;
    if (!accumulate) m.gradient = take(m.shape);
    m.has_gradient = true;
    return {m.gradient, accumulate, true};
  }
  /// The gradient of `from` is complete and is also a part of the gradient of `to`: hand the buffer over if `to` has
  /// none yet, and say where to add it otherwise.
  GradientSlot pass_gradient(int from, int to) {
    Map& target = maps[to];
    if (target.has_gradient) return {target.gradient, true, true};
    target.gradient = maps[from].gradient;
    target.has_gradient = true;
    return {};
  }
  void release_gradient(int map) { free_[maps[map].shape].push_back(maps[map].gradient); }

  void plan_backward() {
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) (*layer)->plan_backward(*this);
  }

  std::size_t take(Shape shape) {
    auto& list = free_[shape];
    if (list.empty()) return new_floats(shape.floats());
    const std::size_t at = list.back();
    list.pop_back();
    return at;
  }

 private:
  std::size_t used_ = 0;
  std::map<Shape, std::vector<std::size_t>> free_;
};

}  // namespace mirnet_train
