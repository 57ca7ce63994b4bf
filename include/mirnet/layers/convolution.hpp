// Convolution layers: packed weights and the call of the kernel.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/band.hpp>
#include <mirnet/layers/concat.hpp>
#include <mirnet/layers/elementwise.hpp>
#include <mirnet/layers/parameter.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/runtime/context.hpp>
#include <mirnet/tensor/view.hpp>

namespace mirnet::inline MIRNET_ABI {

/// What happens to each result of a convolution before it is written.
template <class T>
struct Epilogue {
  Activation<T> activation{};      ///< after the bias
  View<T const> scale{};           ///< 1 x 1 x channels: factors of the result; without pixels: none
  View<T const> residual{};        ///< added after the activation and the scale; without pixels: none
  View<T const> subtract_from{};   ///< instead of a residual: the result is subtracted from this
  Statistics<T> statistics{};      ///< gathered from the output; its channel_sums come from `sums`
  ChannelSums<T>* sums = nullptr;  ///< the sums of the output's channels are added to these
};

namespace detail {

/// A number of channels, or of a kernel's size, in little memory.
template <class Small>
constexpr Small narrowed(Index value) noexcept {
  MIRNET_ASSERT(value >= 0 && value <= (std::numeric_limits<Small>::max)());
  return static_cast<Small>(value);
}

/// Whether a convolution takes these rows, which have any height.
template <class T>
constexpr bool accepts(Context<T>& context, char const* layer, Band<T const> input, Index in, Band<T> output,
                       Index out) noexcept {
  return context.accepts(layer, "input", input.rows, {input.rows.height(), input.rows.width(), in}) &&
         context.accepts(layer, "output", output.rows, {output.rows.height(), output.rows.width(), out});
}

/// A convolution with its weights and scratch memory as the kernels want them, for any rows of one map. `whole`
/// describes all of it and the weights; the preparation is a piece of the node's work.
template <class T>
class PreparedConvolution {
 public:
  constexpr PreparedConvolution(Context<T>& context, Node& node, Convolution<T> const& whole) noexcept
      : plan_(context.kernels->plan_convolution(whole, context.algorithm)),
        weights_(context.arena, plan_.weights_bytes),
        scratch_(context.scratch(plan_.scratch_bytes)) {
    node.kernel = plan_.name;
    has_weights(context, "convolution", whole.weights);  // if not, the context computes nothing
    if (plan_.weights_items == 0) return;
    Piece const piece(context, node);
    context.each_range(plan_.weights_items, 1, [&](Index item, Index, Index) {
      context.kernels->prepare_weights(whole, plan_, item, weights_.data());
    });
  }

  constexpr Index work_tiles(Context<T> const& context, Convolution<T> const& part) const noexcept {
    return context.kernels->convolution_work_tiles(part, plan_);
  }
  void compute(Context<T> const& context, Convolution<T> const& part, Index index, Index worker) const noexcept {
    context.kernels->convolution(part, plan_, weights_.data(), index, scratch_.data() + worker * plan_.scratch_bytes);
  }

  /// Computes all rows of `part`, in this number of work tiles, which are shared out among the workers.
  constexpr void operator()(Context<T> const& context, Convolution<T> const& part, Index work_tiles) const noexcept {
    context.each_range(work_tiles, 1, [&](Index index, Index, Index worker) { compute(context, part, index, worker); });
  }

 private:
  ConvolutionPlan plan_;
  ArenaBlock<std::byte> weights_, scratch_;
};

/// What the layers' convolutions have in common: stride 1, no padding, all of the output.
template <class T>
constexpr Convolution<T> convolution_of(Band<T const> input, Band<T> output, T const* weights, Index kernel_height,
                                        Index kernel_width) noexcept {
  Index const pitch = output.rows.pitch();
  return {.input = input.rows.data(),
          .height = input.map_height,
          .width = input.rows.width(),
          .channels = input.rows.channels(),
          .input_pitch = input.rows.pitch(),
          .input_first_row = input.first_row,
          .weights = weights,
          .kernel_height = kernel_height,
          .kernel_width = kernel_width,
          .stride = 1,
          .pad_top = 0,
          .pad_left = 0,
          .output = output.rows.data(),
          .first_row = output.first_row,
          .output_height = output.rows.height(),
          .output_width = output.rows.width(),
          .output_lines = divide_up(output.rows.channels(), channels_per_line<T>),
          .output_row_step = output.rows.width() * pitch,
          .output_pixel_step = pitch};
}

}  // namespace detail

/// The options of a Conv2d, with PyTorch's names.
struct ConvOptions {
  Index stride = 1;
  Index padding = -1;  ///< -1: half of the kernel's extent, rounded down; then odd kernels keep the map's size
  Index dilation = 1;
  Index groups = 1;
  bool bias = false;
  PaddingMode padding_mode = PaddingMode::zeros;
};

/// torch.nn.Conv2d with a square kernel: weights (out_channels, in_channels / groups, kernel, kernel).
///
/// Limits: 65535 channels, a kernel of 63, and 31 for stride, padding and dilation. The number of groups divides both
/// numbers of channels, and is at most 254 or equal to the number of input channels (depthwise). A convolution beyond
/// these limits has no channels: loading its weights or running it is an error. A channel that is infinite or NaN may
/// make results of other groups NaN.
template <class T>
class Conv2d {
 public:
  Conv2d() = default;

  constexpr Conv2d(Index in_channels, Index out_channels, Index kernel) noexcept
      : Conv2d(in_channels, out_channels, kernel, ConvOptions{}) {}
  MIRNET_NOINLINE constexpr Conv2d(Index in_channels, Index out_channels, Index kernel,
                                   ConvOptions const& options) noexcept
      : kernel_(kernel & 63),
        stride_(options.stride & 31),
        padding_(padding_of(kernel, options) & 31),
        dilation_(options.dilation & 31),
        groups_((options.groups == in_channels && in_channels > 1 ? Index{depthwise} : options.groups) & 255),
        padding_mode_(static_cast<unsigned>(options.padding_mode) & 3),
        has_bias_(options.bias) {
    Index const padding = padding_of(kernel, options), groups = options.groups;
    auto const within = [](Index value, Index least, Index most) { return value >= least && value <= most; };
    if (within(in_channels, 1, 65535) && within(out_channels, 1, 65535) && within(kernel, 1, 63) &&
        within(options.stride, 1, 31) && within(padding, 0, 31) && within(options.dilation, 1, 31) &&
        (within(groups, 1, depthwise - 1) || groups == in_channels) && in_channels % groups == 0 &&
        out_channels % groups == 0) {
      in_ = static_cast<std::uint16_t>(in_channels);
      out_ = static_cast<std::uint16_t>(out_channels);
    }
  }

  constexpr ParameterShape shape() const noexcept { return {4, {out(), group_channels(), kernel(), kernel()}}; }
  constexpr Index packed_elements(Index line = packed_line<T>) const noexcept {
    return depth() * round_up(out(), line);
  }
  constexpr Index packed_from(Index line, Index at) const noexcept {
    auto const [o, k] = packed_place(line, depth(), at);
    Index const in = group_channels();
    return o < out() ? (o * in + k % in) * kernel() * kernel() + k / in : no_element;
  }
  void bind(T const* packed) noexcept { weights_ = packed; }
  constexpr Index packed_at(Index line, Index element) const noexcept {
    Index const taps = kernel() * kernel(), within = element % depth();
    return packed_position(line, depth(), element / depth(), within % taps * group_channels() + within / taps);
  }
  void pack(T* packed, Index first, std::span<T const> values) const noexcept {
    constexpr Index line = packed_line<T>;
    Index const depth = this->depth(), inputs = group_channels(), taps = kernel() * kernel();
    // What there is of all elements of output channels goes a line at a time, or as much of it as these channels have.
    for (Index rows; first % depth == 0 && (rows = static_cast<Index>(values.size()) / depth) > 0;) {
      Index const o = first / depth, lanes = (std::min)(line - o % line, rows);
      T* const lines = packed + packed_position<T>(depth, o, 0);
      for (Index i = 0; i < inputs; ++i) {
        for (Index tap = 0; tap < taps; ++tap) {
          pack_line(lines + (tap * inputs + i) * line, values.data() + i * taps + tap, lanes, depth);
        }
      }
      first += lanes * depth;
      values = values.subspan(static_cast<std::size_t>(lanes * depth));
    }
    each_element(shape(), first, values, [&](T value, Index o, Index i, Index y, Index x) {
      packed[packed_position<T>(depth, o, (y * kernel() + x) * inputs + i)] = value;
    });
  }

  constexpr bool has_bias() const noexcept { return has_bias_; }
  /// Behind the weights, so that bind() is for both.
  constexpr PlainParameter<T> bias() const noexcept { return PlainParameter<T>({1, {out(), 1, 1, 1}}); }

  /// The weights as kernels read them.
  constexpr T const* packed() const noexcept { return weights_; }

  constexpr Shape output_shape(Shape input) const noexcept {
    Index const beyond = 2 * padding() - extent();
    auto const size = [&](Index n) { return n + beyond < 0 ? 0 : (n + beyond) / stride() + 1; };
    return {size(input.height), size(input.width), out()};
  }
  /// With an activation, which may be a gate.
  constexpr Shape output_shape(Shape input, Activation<T> const& activation) const noexcept {
    Shape const shape = output_shape(input);
    return {shape.height, shape.width, activation.channels_of(shape.channels)};
  }

  /// `output` has output_shape(input.shape(), activation) and does not overlap the input. The residual has the output's
  /// shape; it may be the output itself. For PaddingMode::reflect, the input's height and width are larger than the
  /// padding.
  constexpr void forward(Context<T>& context, View<T const> input, View<T> output,
                         Epilogue<T> epilogue = {}) const noexcept {
    Shape const shape = output_shape(input.shape(), epilogue.activation);
    if (!context.accepts("convolution", "output", output, shape)) return;
    if (input.pixels() > 0 && !context.has_pixels("convolution", shape)) return;
    if (epilogue.activation.gates() && !gates_itself(epilogue))
      return forward_and_gate(context, input, output, epilogue);
    Rows(*this, context, input.shape(), 1, epilogue.activation.gates()).forward(context, input, output, epilogue);
  }

  /// The same into a new map of the context's arena.
  constexpr ArenaMap<T> operator()(Context<T>& context, View<T const> input, Epilogue<T> epilogue = {}) const noexcept {
    ArenaMap<T> output(context.arena, output_shape(input.shape(), epilogue.activation));
    forward(context, input, output, epilogue);
    return output;
  }
  constexpr ArenaMap<T> operator()(Context<T>& context, View<T const> input, Activation<T> activation) const noexcept {
    return (*this)(context, input, Epilogue<T>{.activation = activation});
  }

  /// The same a few rows at a time.
  class Rows {
   public:
    /// For an input map of this shape. Its arithmetic counts as `times` as much: where the network as it is written
    /// has this layer on that many more pixels. `gates`: the activation is a gate, which this layer computes itself.
    constexpr Rows(Conv2d const& layer, Context<T>& context, Shape input, Index times = 1, bool gates = false) noexcept
        : layer_(layer),
          macs_a_pixel_(times * layer.depth() * layer.out()),
          node_(layer.node(context, input, macs_a_pixel_, gates)),
          prepared_(context, node_,
                    layer.work(Band<T const>(input), Band<T>(layer.output_shape(input, gates_or_not(gates))), gates)) {}

    /// `input` has the rows that the output's rows are computed from. No two calls may be for the same rows.
    constexpr void forward(Context<T>& context, Band<T const> input, Band<T> output,
                           Epilogue<T> epilogue = {}) const noexcept {
      bool const gates = epilogue.activation.gates();
      Index const channels = epilogue.activation.channels_of(layer_.out());
      if (!detail::accepts(context, "convolution", input, layer_.in(), output, channels)) return;
      bool const subtracts = epilogue.subtract_from.pixels() > 0;
      if (subtracts && epilogue.residual.pixels() > 0) {
        context.refuse(
            {.layer = "convolution", .reason = "it has a residual and a map to subtract from, expected one"});
        return;
      }
      View<T const> const residual = subtracts ? epilogue.subtract_from : epilogue.residual;
      if (residual.pixels() > 0 &&
          !context.accepts_pitch("convolution", "residual", residual, output.rows.shape(), output.rows.pitch())) {
        return;
      }
      if (!layer_.takes(context, input, output, epilogue)) return;
      bool const scales = epilogue.scale.pixels() > 0;
      if (scales && (!context.accepts("convolution", "scale", epilogue.scale, {1, 1, layer_.out()}) ||
                     !detail::has_weights(context, "convolution", epilogue.scale.data()))) {
        return;
      }
      if (epilogue.activation.function().wanted() && (scales || residual.pixels() > 0)) {
        return forward_and_add(context, input, output, epilogue, residual, subtracts);
      }
      context.count(output.rows.pixels(), macs_a_pixel_);
      Node node = node_;
      node.activation = epilogue.activation.computes();
      node.residual = residual.pixels() > 0;
      node.statistics = epilogue.statistics.channels > 0 || epilogue.sums != nullptr;
      if (node.residual) node.bytes += context.bytes_of(node.output);
      Convolution<T> part = layer_.work(input, output, gates);
      part.slope = epilogue.activation.slope();
      part.slopes = epilogue.activation.slopes();
      part.function = epilogue.activation.function();
      if (part.function.wanted()) part.output_channels = layer_.out();
      part.scales = epilogue.scale.data();
      part.residual = residual.data();
      part.subtracts = subtracts;
      part.statistics = epilogue.statistics;
      Index const work_tiles = prepared_.work_tiles(context, part);
      if (epilogue.sums == nullptr) {
        Piece const piece(context, node);
        return prepared_(context, part, work_tiles);
      }
      ArenaBlock<Accumulator<T>> const lines(context.arena, work_tiles * epilogue.sums->pitch());
      part.statistics.channel_sums = lines.data();
      Piece const piece(context, node);
      prepared_(context, part, work_tiles);
      epilogue.sums->add(context, lines.data(), work_tiles, output.rows.pixels());
    }

   private:
    /// Kernels neither scale a function's result nor add anything to it: that takes a map for it and other passes.
    constexpr void forward_and_add(Context<T>& context, Band<T const> input, Band<T> output, Epilogue<T> epilogue,
                                   View<T const> residual, bool subtracts) const noexcept {
      if (epilogue.sums != nullptr || epilogue.statistics.wanted()) {
        context.refuse({.layer = "convolution", .reason = "a function with a residual has no statistics"});
        return;
      }
      ArenaMap<T> const result(context.arena, output.rows.shape());
      View<T const> const scale = epilogue.scale;
      epilogue.scale = epilogue.residual = epilogue.subtract_from = {};
      forward(context, input, Band<T>(result, output.first_row, output.map_height), epilogue);
      if (scale.pixels() > 0) {
        View<T> const scaled = residual.pixels() > 0 ? result.view() : output.rows;
        detail::combine<T>(context, "product", Operation::multiply, result, scale, scaled);
        if (residual.pixels() == 0) return;
      }
      auto const add = subtracts ? Operation::subtract : Operation::add;
      detail::combine<T>(context, subtracts ? "difference" : "sum", add, residual, result, output.rows);
    }

    Conv2d const& layer_;
    Index macs_a_pixel_;
    Node node_;
    detail::PreparedConvolution<T> prepared_;
  };

 private:
  constexpr Index in() const noexcept { return in_; }
  constexpr Index out() const noexcept { return out_; }
  constexpr Index kernel() const noexcept { return kernel_; }
  constexpr Index stride() const noexcept { return stride_; }
  constexpr Index padding() const noexcept { return padding_; }
  constexpr Index groups() const noexcept { return groups_ == depthwise ? in() : groups_; }
  constexpr Index group_channels() const noexcept { return groups_ == 1 ? in() : in() / std::max<Index>(groups(), 1); }
  constexpr Index depth() const noexcept { return kernel() * kernel() * group_channels(); }
  /// The kernel's size in pixels of the input, from the first tap to the last.
  constexpr Index extent() const noexcept { return (kernel() - 1) * dilation_ + 1; }

  static constexpr Index padding_of(Index kernel, ConvOptions const& options) noexcept {
    return options.padding < 0 ? ((kernel - 1) * options.dilation + 1) / 2 : options.padding;
  }

  /// Checks the requirements on the maps beyond their shapes.
  constexpr bool takes(Context<T>& context, Band<T const> input, Band<T> output,
                       Epilogue<T> const& epilogue) const noexcept {
    if (!context.differ("convolution", input.rows, output.rows)) return false;
    if (padding_mode_ == static_cast<unsigned>(PaddingMode::reflect) &&
        (std::min)(input.map_height, input.rows.width()) <= padding()) {
      Shape const found = input.map_shape();
      return context.refuse({"convolution",
                             "input that is reflected",
                             found,
                             {std::max<Index>(found.height, padding() + 1), std::max<Index>(found.width, padding() + 1),
                              found.channels}});
    }
    if (groups_ != 1 && (epilogue.sums != nullptr || epilogue.statistics.wanted())) {
      return context.refuse({.layer = "convolution", .reason = "several groups have no statistics"});
    }
    if (epilogue.sums != nullptr && !epilogue.sums->take(context, "convolution", out())) return false;
    return epilogue.activation.takes(context, "convolution", out());
  }

  constexpr Node node(Context<T>& context, Shape input, Index macs_a_pixel, bool gates) const noexcept {
    char const* const operation = kernel() == 1 ? "conv 1x1" : kernel() == 3 ? "conv 3x3" : "conv";
    Node node = context.new_node(operation, input, output_shape(input, gates_or_not(gates)));
    node.macs = static_cast<std::uint64_t>(node.output.pixels()) * static_cast<std::uint64_t>(macs_a_pixel);
    node.bytes += packed_elements() * static_cast<Index>(sizeof(T));
    return node;
  }

  static constexpr Activation<T> gates_or_not(bool gates) noexcept {
    return gates ? Activation<T>(simple_gate) : Activation<T>();
  }

  /// Whether the kernels multiply the halves of the results before they write them.
  constexpr bool gates_itself(Epilogue<T> const& epilogue) const noexcept {
    bool const adds =
        epilogue.scale.pixels() > 0 || epilogue.residual.pixels() > 0 || epilogue.subtract_from.pixels() > 0;
    bool const gathers = epilogue.sums != nullptr || epilogue.statistics.wanted();
    bool const suits = (kernel() == 1 && groups_ == 1) || (groups_ == depthwise && in() == out());
    return suits && !adds && !gathers && out() % (2 * packed_line<T>) == 0;
  }

  /// The gate as another pass.
  constexpr void forward_and_gate(Context<T>& context, View<T const> input, View<T> output,
                                  Epilogue<T> const& epilogue) const noexcept {
    if (epilogue.sums != nullptr || epilogue.statistics.wanted() || epilogue.scale.pixels() > 0) {
      context.refuse({.layer = "convolution", .reason = "a gate has neither statistics nor a scale"});
      return;
    }
    if (!epilogue.activation.takes(context, "convolution", out())) return;
    Index const half = out() / 2;
    auto const results = (*this)(context, input);
    View<T> const all = results;
    bool const adds = epilogue.residual.pixels() > 0;
    auto const multiply = [&](View<T> left, View<T const> right) {
      if (epilogue.subtract_from.pixels() > 0) {  // which may be the output
        detail::combine<T>(context, "product", Operation::multiply, left, right, left);
        return detail::combine<T>(context, "difference", Operation::subtract, epilogue.subtract_from, left, output);
      }
      detail::combine<T>(context, "product", Operation::multiply, left, right, output,
                         adds ? epilogue.residual : View<T const>());
    };
    if (half % channels_per_line<T> == 0) {
      return multiply(channel_slice(all, 0, half), channel_slice(all, half, half));
    }
    multiply(copy_channels<T>(context, all, 0, half), copy_channels<T>(context, all, half, half));
  }

  constexpr Convolution<T> work(Band<T const> input, Band<T> output, bool gates = false) const noexcept {
    Convolution<T> work = detail::convolution_of<T>(input, output, weights_, kernel(), kernel());
    if (gates) {
      work.gates = true;
      work.output_lines *= 2;
    }
    if (has_bias_) work.bias = advance(weights_, packed_elements());
    work.stride = stride();
    work.pad_top = work.pad_left = padding();
    work.dilation = dilation_;
    work.padding_mode = static_cast<PaddingMode>(padding_mode_);
    if (groups_ != 1) {
      work.groups = groups();
      work.output_channels = out();
    }
    return work;
  }

  static constexpr unsigned depthwise = 255;  // in groups_: as many as input channels

  T const* weights_ = nullptr;
  // A network has hundreds of these.
  std::uint16_t in_ = 0, out_ = 0;
  std::uint32_t kernel_ : 6 = 1, stride_ : 5 = 1, padding_ : 5 = 0, dilation_ : 5 = 1, groups_ : 8 = 1,
                          padding_mode_ : 2 = 0, has_bias_ : 1 = 0;
};

/// The options of a Linear, with PyTorch's names.
struct LinearOptions {
  bool bias = false;
};

/// torch.nn.Linear over the channels of each pixel: weights (out_features, in_features). Otherwise the same as a 1x1
/// Conv2d.
template <class T>
class Linear : public Conv2d<T> {
 public:
  Linear() = default;
  constexpr Linear(Index in_features, Index out_features, LinearOptions const& options = {}) noexcept
      : Conv2d<T>(in_features, out_features, 1, {.bias = options.bias}) {}

  constexpr ParameterShape shape() const noexcept {
    ParameterShape shape = Conv2d<T>::shape();
    shape.rank = 2;
    return shape;
  }
};

/// The options of a ConvTranspose2d, with PyTorch's names.
struct ConvTransposeOptions {
  Index stride = 1;
  Index padding = 0;
  Index output_padding = 0;
  Index groups = 1;
  bool bias = false;
};

/// torch.nn.ConvTranspose2d with a square kernel: weights (in_channels, out_channels / groups, kernel, kernel).
///
/// Output row y sees the rows ky of the kernel for which y + padding - ky is a multiple of the stride, so each of the
/// stride^2 phases of the output is a convolution of the input with a part of the kernel, and no zero is multiplied.
/// Of a 3x3 kernel with a stride of 2 these have 1x1, 1x2, 2x1 and 2x2 taps: nine multiplications for four pixels,
/// almost half of which the kernels save where they may (Algorithm).
///
/// Limits: 65535 channels, a kernel of 15 that is at least the stride, a padding of 15, an output_padding below the
/// stride; groups as of Conv2d. A layer beyond these limits has no channels.
template <class T>
class ConvTranspose2d {
 public:
  ConvTranspose2d() = default;
  /// MIRNet's: a kernel of 3, stride 2, padding 1 and output_padding 1 double the height and width.
  constexpr ConvTranspose2d(Index in_channels, Index out_channels) noexcept
      : ConvTranspose2d(in_channels, out_channels, 3, {.stride = 2, .padding = 1, .output_padding = 1}) {}
  constexpr ConvTranspose2d(Index in_channels, Index out_channels, Index kernel,
                            ConvTransposeOptions const& options = {}) noexcept
      : kernel_(kernel & 15),
        stride_(options.stride & 15),
        padding_(options.padding & 15),
        output_padding_(options.output_padding & 15),
        groups_((options.groups == in_channels && in_channels > 1 ? Index{depthwise} : options.groups) & 255),
        has_bias_(options.bias) {
    Index const groups = options.groups;
    auto const within = [](Index value, Index least, Index most) { return value >= least && value <= most; };
    if (within(in_channels, 1, 65535) && within(out_channels, 1, 65535) && within(options.stride, 1, 15) &&
        within(kernel, options.stride, 15) && within(options.padding, 0, 15) &&
        within(options.output_padding, 0, options.stride - 1) &&
        (within(groups, 1, depthwise - 1) || groups == in_channels) && in_channels % groups == 0 &&
        out_channels % groups == 0) {
      in_ = static_cast<std::uint16_t>(in_channels);
      out_ = static_cast<std::uint16_t>(out_channels);
    }
  }

  constexpr ParameterShape shape() const noexcept { return {4, {in(), group_outputs(), kernel(), kernel()}}; }
  constexpr Index packed_elements(Index line = packed_line<T>) const noexcept {
    return kernel() * kernel() * group_channels() * round_up(out(), line);
  }
  constexpr Index packed_from(Index line, Index at) const noexcept {
    Index phase = stride() * stride() - 1;
    while (at < phase_start(phase, line)) --phase;
    Axis const y = axis(phase / stride()), x = axis(phase % stride());
    auto const [o, k] = packed_place(line, phase_depth(phase), at - phase_start(phase, line));
    if (o >= out()) return no_element;
    Index const tap = k / group_channels();
    Index const i = o / group_outputs() * group_channels() + k % group_channels();
    Index const ky = y.first_tap + (y.taps - 1 - tap / x.taps) * stride();
    Index const kx = x.first_tap + (x.taps - 1 - tap % x.taps) * stride();
    return ((i * group_outputs() + o % group_outputs()) * kernel() + ky) * kernel() + kx;
  }
  constexpr Index packed_at(Index line, Index element) const noexcept {
    Index const taps = kernel() * kernel(), tap = element % taps;
    return packed_at(line, element / (taps * group_outputs()), element / taps % group_outputs(), tap / kernel(),
                     tap % kernel());
  }
  void bind(T const* packed) noexcept { weights_ = packed; }
  void pack(T* packed, Index first, std::span<T const> values) const noexcept {
    constexpr Index line = packed_line<T>;
    Index const taps = kernel() * kernel(), outputs = group_outputs();
    // What there is of whole kernels of output channels goes a line at a time, or as much of it as these have.
    for (Index kernels; first % taps == 0 && (kernels = static_cast<Index>(values.size()) / taps) > 0;) {
      Index const i = first / (taps * outputs), o = first / taps % outputs;
      Index const channel = i / group_channels() * outputs + o;
      Index const lanes = (std::min)({line - channel % line, outputs - o, kernels});
      for (Index tap = 0; tap < taps; ++tap) {
        pack_line(packed + packed_at(line, i, o, tap / kernel(), tap % kernel()), values.data() + tap, lanes, taps);
      }
      first += taps * lanes;
      values = values.subspan(static_cast<std::size_t>(taps * lanes));
    }
    each_element(shape(), first, values,
                 [&](T value, Index i, Index o, Index ky, Index kx) { packed[packed_at(line, i, o, ky, kx)] = value; });
  }

  constexpr bool has_bias() const noexcept { return has_bias_; }
  /// Behind the weights, so that bind() is for both.
  constexpr PlainParameter<T> bias() const noexcept { return PlainParameter<T>({1, {out(), 1, 1, 1}}); }

  constexpr Shape output_shape(Shape input) const noexcept {
    auto const size = [&](Index n) {
      return std::max<Index>((n - 1) * stride() - 2 * padding_ + kernel() + output_padding_, 0);
    };
    return {size(input.height), size(input.width), out()};
  }

  /// `output` has output_shape(input.shape()) and does not overlap the input.
  constexpr void forward(Context<T>& context, View<T const> input, View<T> output,
                         Activation<T> activation = {}) const noexcept {
    Shape const shape = output_shape(input.shape());
    if (!context.accepts("transposed convolution", "output", output, shape)) return;
    if (stride() == 2 && shape.height > 1 && shape.width > 1) {
      return Rows(*this, context, input.shape()).forward(context, input, output, activation);
    }
    if (!takes(context, input, output, activation)) return;
    Node node = this->node(context, input.shape());
    node.activation = activation.computes();
    context.count(input.pixels(), macs_a_pixel());
    for (Index phase = 0; phase < stride() * stride(); ++phase) {
      Convolution<T> const part = work(input, output, phase, activation);
      if (part.output_height == 0 || part.output_width == 0) continue;
      detail::PreparedConvolution<T> const prepared(context, node, part);
      Piece const piece(context, node);
      prepared(context, part, prepared.work_tiles(context, part));
    }
  }
  /// The same into a new map of the context's arena.
  constexpr ArenaMap<T> operator()(Context<T>& context, View<T const> input,
                                   Activation<T> activation = {}) const noexcept {
    ArenaMap<T> output(context.arena, output_shape(input.shape()));
    forward(context, input, output, activation);
    return output;
  }

  /// The same a few rows at a time, with a stride of 2.
  class Rows {
   public:
    /// For an input map of this shape.
    constexpr Rows(ConvTranspose2d const& layer, Context<T>& context, Shape input) noexcept
        : layer_(layer),
          input_pixels_(input.pixels()),
          node_(layer.node(context, input)),
          phases_{prepared(context, input, 0), prepared(context, input, 1), prepared(context, input, 2),
                  prepared(context, input, 3)} {}

    /// The output's first row is even, and so is its height unless it is the whole map; `input` has the rows that it
    /// is computed from: with MIRNet's kernel, those of half the output's numbers and, where the map has it, the next.
    constexpr void forward(Context<T>& context, Band<T const> input, Band<T> output,
                           Activation<T> activation = {}) const noexcept {
      if (!layer_.takes(context, input, output, activation)) return;
      bool const whole = output.rows.height() == output.map_height;
      context.count(whole ? input_pixels_ : output.rows.pixels() / 4, layer_.macs_a_pixel());
      Node node = node_;
      node.activation = activation.computes();
      Convolution<T> parts[4];
      Index work_tiles[4], fewest = (std::numeric_limits<Index>::max)();
      for (int phase = 0; phase < 4; ++phase) {
        parts[phase] = layer_.work(input, output, phase, activation);
        work_tiles[phase] = phases_[phase].work_tiles(context, parts[phase]);
        fewest = (std::min)(fewest, work_tiles[phase]);
      }
      Piece const piece(context, node);
      // An item is the same share of each phase, so that all four read a part of the input while it is in the cache.
      context.each_range(fewest, 1, [&](Index item, Index, Index worker) {
        for (int phase = 0; phase < 4; ++phase) {
          Index const end = work_tiles[phase] * (item + 1) / fewest;
          for (Index i = work_tiles[phase] * item / fewest; i < end; ++i) {
            phases_[phase].compute(context, parts[phase], i, worker);
          }
        }
      });
    }

   private:
    constexpr detail::PreparedConvolution<T> prepared(Context<T>& context, Shape input, int phase) noexcept {
      return {context, node_, layer_.work(Band<T const>(input), Band<T>(layer_.output_shape(input)), phase, {})};
    }

    ConvTranspose2d const& layer_;
    Index input_pixels_;
    Node node_;
    detail::PreparedConvolution<T> phases_[4];
  };

 private:
  constexpr Index in() const noexcept { return in_; }
  constexpr Index out() const noexcept { return out_; }
  constexpr Index kernel() const noexcept { return kernel_; }
  constexpr Index stride() const noexcept { return stride_; }
  constexpr Index groups() const noexcept { return groups_ == depthwise ? in() : groups_; }
  constexpr Index group_channels() const noexcept { return groups_ == 1 ? in() : in() / std::max<Index>(groups(), 1); }
  constexpr Index group_outputs() const noexcept { return groups_ == 1 ? out() : out() / std::max<Index>(groups(), 1); }
  /// For each pixel of the input, as if nothing of the output were cut off.
  constexpr Index macs_a_pixel() const noexcept { return kernel() * kernel() * group_channels() * out(); }

  constexpr bool takes(Context<T>& context, Band<T const> input, Band<T> output,
                       Activation<T> const& activation) const noexcept {
    return detail::accepts(context, "transposed convolution", input, in(), output, out()) &&
           context.differ("transposed convolution", input.rows, output.rows) &&
           (!activation.gates() ||
            context.refuse({.layer = "transposed convolution", .reason = "a gate is for other convolutions"})) &&
           activation.takes(context, "transposed convolution", out());
  }

  constexpr Node node(Context<T>& context, Shape input) const noexcept {
    char const* const operation = kernel() == 2   ? "transposed 2x2"
                                  : kernel() == 3 ? "transposed 3x3"
                                  : kernel() == 4 ? "transposed 4x4"
                                                  : "transposed conv";
    Node node = context.new_node(operation, input, output_shape(input));
    node.macs = static_cast<std::uint64_t>(input.pixels()) * static_cast<std::uint64_t>(macs_a_pixel());
    node.bytes += packed_elements() * static_cast<Index>(sizeof(T));
    return node;
  }

  /// The rows (or columns) of the kernel that a phase's output rows see: first_tap + j * stride, of which the last sees
  /// the first row of the input, `padding` rows before the output row's number in its phase.
  struct Axis {
    Index first_tap, taps, taps_before = 0, padding = 0;
  };
  constexpr Axis axis(Index phase) const noexcept {
    Axis axis{.first_tap = (phase + padding_) % stride(), .taps = axis_taps(phase)};
    for (Index before = 0; before < phase; ++before) axis.taps_before += axis_taps(before);
    axis.padding = axis.taps - 1 - (phase + padding_ - axis.first_tap) / stride();
    return axis;
  }
  constexpr Index axis_taps(Index phase) const noexcept {
    return divide_up(kernel() - (phase + padding_) % stride(), stride());
  }

  constexpr Index phase_depth(Index phase) const noexcept {
    return axis_taps(phase / stride()) * axis_taps(phase % stride()) * group_channels();
  }
  /// The phases' weights follow each other.
  constexpr Index phase_start(Index phase, Index line = packed_line<T>) const noexcept {
    Axis const y = axis(phase / stride()), x = axis(phase % stride());
    return (y.taps_before * kernel() + y.taps * x.taps_before) * group_channels() * round_up(out(), line);
  }

  /// Of output channel o of the group of input channel i.
  constexpr Index packed_at(Index line, Index i, Index o, Index ky, Index kx) const noexcept {
    Index const s = stride(), wide = s * padding_;
    Index const phase = (ky + wide - padding_) % s * s + (kx + wide - padding_) % s;
    Axis const y = axis(phase / s), x = axis(phase % s);
    Index const down = y.taps - 1 - ky / s, across = x.taps - 1 - kx / s;
    return phase_start(phase, line) +
           packed_position(line, phase_depth(phase), i / group_channels() * group_outputs() + o,
                           (down * x.taps + across) * group_channels() + i % group_channels());
  }

  /// A phase as a convolution: of the output, the rows and columns that are its own.
  constexpr Convolution<T> work(Band<T const> input, Band<T> output, Index phase,
                                Activation<T> const& activation) const noexcept {
    Index const s = stride(), row = phase / s, column = phase % s;
    Axis const y = axis(row), x = axis(column);
    Convolution<T> work =
        detail::convolution_of<T>(input, output, advance(weights_, phase_start(phase)), y.taps, x.taps);
    if (has_bias_) work.bias = advance(weights_, packed_elements());
    work.pad_top = y.padding;
    work.pad_left = x.padding;
    if (groups_ != 1) work.groups = groups();
    work.output_channels = out();
    work.slope = activation.slope();
    work.slopes = activation.slopes();
    work.function = activation.function();
    work.output = advance(work.output, row * work.output_row_step + column * work.output_pixel_step);
    work.first_row /= s;
    work.output_height = divide_up(std::max<Index>(work.output_height - row, 0), s);
    work.output_width = divide_up(std::max<Index>(work.output_width - column, 0), s);
    work.output_row_step *= s;
    work.output_pixel_step *= s;
    return work;
  }

  static constexpr unsigned depthwise = 255;  // in groups_: as many as input channels

  T const* weights_ = nullptr;
  std::uint16_t in_ = 0, out_ = 0;
  std::uint32_t kernel_ : 4 = 1, stride_ : 4 = 1, padding_ : 4 = 0, output_padding_ : 4 = 0, groups_ : 8 = 1,
                          has_bias_ : 1 = 0;
};

/// The 1x1 convolution behind a dual attention unit, over [pixel_gate * r ; channel_gate * r]: weights
/// (channels, 2*channels, 1, 1).
template <class T>
class GatedConv1x1 {
 public:
  GatedConv1x1() = default;
  explicit constexpr GatedConv1x1(Index channels) noexcept : conv_(2 * channels, channels, 1), channels_(channels) {}

  constexpr ParameterShape shape() const noexcept { return conv_.shape(); }
  constexpr Index packed_elements(Index line = packed_line<T>) const noexcept { return conv_.packed_elements(line); }
  constexpr Index packed_from(Index line, Index at) const noexcept { return conv_.packed_from(line, at); }
  constexpr Index packed_at(Index line, Index element) const noexcept { return conv_.packed_at(line, element); }
  void bind(T const* packed) noexcept { conv_.bind(packed); }
  void pack(T* packed, Index first, std::span<T const> values) const noexcept { conv_.pack(packed, first, values); }

  /// pixel_gate has r.pixels() elements, channel_gate is 1 x 1 x channels. The output may be the residual, not r.
  constexpr void forward(Context<T>& context, View<T const> r, T const* pixel_gate, View<T const> channel_gate,
                         View<T> output, View<T const> residual) const noexcept {
    Shape const shape{r.height(), r.width(), channels_};
    if (!context.accepts("gated 1x1", "input", r, shape, Layout::dense) ||
        !context.accepts("gated 1x1", "channel gate", channel_gate, {1, 1, channels_}) ||
        !context.accepts("gated 1x1", "residual", residual, shape, Layout::dense) ||
        !context.accepts("gated 1x1", "output", output, shape, Layout::dense)) {
      return;
    }
    context.count(r.pixels(), 2 * channels_ * channels_);
    GatedProjection<T> const work{.input = r.data(),
                                  .pixels = r.pixels(),
                                  .channels = channels_,
                                  .pitch = r.pitch(),
                                  .pixel_gate = pixel_gate,
                                  .channel_gate = channel_gate.data(),
                                  .weights = conv_.packed(),
                                  .output = output.data(),
                                  .residual = residual.data()};
    KernelTable<T> const& kernels = *context.kernels;
    ProjectionPlan const plan = kernels.plan_gated_projection(work);
    ArenaBlock<std::byte> const prepared(context.arena, plan.weights_bytes);
    auto const scratch = context.scratch(plan.scratch_bytes);
    Node node = context.new_node("gated 1x1", r.shape(), output.shape());
    node.kernel = "gated_projection";
    node.macs = static_cast<std::uint64_t>(r.pixels()) * static_cast<std::uint64_t>(2 * channels_ * channels_);
    node.bytes += context.bytes_of(residual.shape()) + packed_elements() * static_cast<Index>(sizeof(T));
    node.residual = true;
    Piece const piece(context, node);
    context.once([&] { kernels.prepare_gated_projection(work, prepared.data()); });
    context.each_range(work.pixels, kernels.work_tile_pixels, [&](Index first, Index last, Index worker) {
      kernels.gated_projection(work, prepared.data(), first, last, scratch.data() + worker * plan.scratch_bytes);
    });
  }

 private:
  Conv2d<T> conv_;
  Index channels_ = 0;
};

}  // namespace mirnet::inline MIRNET_ABI
