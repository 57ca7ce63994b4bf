// The multi-scale residual block (section 3, figure 1): streams at full, half and quarter resolution, each with its
// dual attention unit, exchanging what they know between the columns.
#pragma once

#include <utility>

#include <mirnet/networks/mirnet/dual_attention.hpp>
#include <mirnet/networks/mirnet/resizing.hpp>
#include <mirnet/networks/mirnet/selective_kernel_fusion.hpp>

namespace mirnet::inline MIRNET_ABI {

/// x + conv(fusion of all streams, brought to full resolution, behind `columns` columns).
///
/// Stream s works at 1/2^s of the resolution with features * 2^s channels. The columns of a stream share one dual
/// attention unit, the streams' modules for the same distance are shared by all columns, and the fusion of the first
/// stream serves the end of the block as well: that is how the authors' network is built.
template <class T>
class MultiScaleBlock {
 public:
  static constexpr Index most_streams = SelectiveKernelFusion<T>::most_streams;

  MultiScaleBlock() = default;
  constexpr MultiScaleBlock(Index features, Index streams, Index columns) noexcept
      : features_(features), streams_(streams), columns_(columns), conv_out_(features, features, 3) {
    for (Index s = 0; s < streams; ++s) {
      units_[s] = DualAttention<T>(channels(s));
      fusions_[s] = {channels(s), streams};
      if (s > 0) last_up_[s - 1] = {channels(s), s};
      for (Index steps = 1; steps < streams - s; ++steps) down_[s][steps - 1] = {channels(s), steps};
      for (Index steps = 1; steps <= s; ++steps) up_[s][steps - 1] = {channels(s), steps};
    }
  }

  template <class Visitor, class Path>
  constexpr void layers(Visitor&& visit, Path const& name, PRelu<T>* prelu) {
    for (Index s = 0; s < streams_; ++s) units_[s].layers(visit, name / "blocks" / s / 0, s == 0 ? prelu : nullptr);
    for (Index s = 1; s < streams_; ++s) last_up_[s - 1].layers(visit, name / "last_up" / s);
    for (Index s = 0; s < streams_; ++s) {
      for (Index steps = streams_ - 1 - s; steps > 0; --steps) {
        down_[s][steps - 1].layers(visit, resizing_name(name / "down", s, steps));
      }
    }
    for (Index s = streams_ - 1; s >= 0; --s) {
      for (Index steps = s; steps > 0; --steps) up_[s][steps - 1].layers(visit, resizing_name(name / "up", s, steps));
    }
    visit(conv_out_, name / "conv_out");
    for (Index s = 0; s < streams_; ++s) fusions_[s].layers(visit, name / "selective_kernel" / s);
  }

  /// The output may be the input.
  constexpr void forward(Context<T>& context, View<T const> x, View<T> output, PRelu<T> const& prelu) const noexcept {
    ArenaMap<T> const fused = fused_streams(context, x, prelu);
    conv_out_.forward(context.at("conv_out"), fused, output, {.residual = x});
  }

  /// The same into a new map, which is taken when little else is held.
  constexpr ArenaMap<T> forward(Context<T>& context, View<T const> x, PRelu<T> const& prelu) const noexcept {
    ArenaMap<T> const fused = fused_streams(context, x, prelu);
    ArenaMap<T> output(context.arena, x.shape());
    conv_out_.forward(context.at("conv_out"), fused, output, {.residual = x});
    return output;
  }

 private:
  /// All streams at full resolution, behind the columns.
  constexpr ArenaMap<T> fused_streams(Context<T>& context, View<T const> x, PRelu<T> const& prelu) const noexcept {
    ArenaMap<T> stream[most_streams];
    for (Index s = 0; s < streams_; ++s) {
      stream[s] = ArenaMap<T>(context.arena, stream_shape(x.shape(), s));
      if (s == 0) {
        units_[0].forward(context.at("blocks", 0).at("0"), x, stream[0], prelu);
      } else {
        resize(context, stream[s - 1], s - 1, s, stream[s]);
        units_[s].forward(context.at("blocks", s).at("0"), stream[s], stream[s], prelu);
      }
    }
    for (Index column = 1; column < columns_; ++column) {
      ArenaMap<T> mixed[most_streams];
      // The first stream's fusion takes the most memory, so it comes before others have been made; while the last is
      // made, each stream goes when it has been read.
      for (Index i = 0; i < streams_; ++i) {
        Index const target = i == 0 ? 0 : streams_ - i;
        bool const last = i + 1 == streams_;
        mixed[target] = fuse(context, stream, target, [&](Index from, View<T> to) {
          resize(context, stream[from], from, target, to);
          if (last) stream[from].release();
        });
      }
      for (Index s = 0; s < streams_; ++s) {
        stream[s] = std::move(mixed[s]);
        stream[s].settle();
      }
      for (Index s = 0; s < streams_; ++s) {
        units_[s].forward(context.at("blocks", s).at("0"), stream[s], stream[s], prelu);
      }
    }
    return fuse(context, stream, 0, [&](Index from, View<T> to) {
      last_up_[from - 1].forward(context.at("last_up", from), stream[from], to);
      stream[from].release();
    });
  }

  constexpr Index channels(Index stream) const noexcept { return features_ << stream; }

  static constexpr Shape stream_shape(Shape shape, Index stream) noexcept {
    return {shape.height >> stream, shape.width >> stream, shape.channels << stream};
  }

  /// "down.64_4": from the stream of 64 channels to a quarter of its resolution.
  template <class Path>
  constexpr Path resizing_name(Path const& group, Index stream, Index steps) const noexcept {
    return group / channels(stream) + "_" + (Index{1} << steps);
  }

  constexpr void resize(Context<T>& context, View<T const> x, Index from, Index to, View<T> output) const noexcept {
    Index const steps = from < to ? to - from : from - to, factor = Index{1} << steps;
    if (from < to) {
      down_[from][steps - 1].forward(context.at("down", channels(from), factor), x, output);
    } else {
      up_[from][steps - 1].forward(context.at("up", channels(from), factor), x, output);
    }
  }

  /// All streams fused at the resolution of `target`; bring(from, to) resizes one of the others to it.
  template <class Bring>
  constexpr ArenaMap<T> fuse(Context<T>& context, ArenaMap<T> const (&stream)[most_streams], Index target,
                             Bring&& bring) const noexcept {
    Shape const shape = stream[target].shape();
    ArenaMap<T> resized[most_streams];
    View<T const> views[most_streams];
    views[target] = stream[target];
    // The smallest streams first: bringing them up takes the most working memory, and few maps are held then.
    for (Index s = streams_ - 1; s >= 0; --s) {
      if (s == target) continue;
      resized[s] = ArenaMap<T>(context.arena, shape);
      bring(s, resized[s]);
      views[s] = resized[s];
    }
    // The map that was resized first takes the result, as the streams themselves may still be needed: it has the lowest
    // place in memory, and those behind it leave one gap.
    Index const first = streams_ == 1 ? 0 : target == streams_ - 1 ? streams_ - 2 : streams_ - 1;
    ArenaMap<T> fused = std::move(resized[first]);
    if (streams_ == 1) fused = ArenaMap<T>(context.arena, shape);
    fusions_[target].forward(context.at("selective_kernel", target), {views, static_cast<std::size_t>(streams_)},
                             fused);
    return fused;
  }

  Index features_ = 0, streams_ = 0, columns_ = 0;
  DualAttention<T> units_[most_streams];
  SelectiveKernelFusion<T> fusions_[most_streams];
  // Indexed by the stream they start from and, but for last_up_, the number of steps less one.
  Resizing<T, Upsampling> last_up_[most_streams - 1];
  Resizing<T, Downsampling> down_[most_streams - 1][most_streams - 1];
  Resizing<T, Upsampling> up_[most_streams][most_streams - 1];
  Conv2d<T> conv_out_;
};

}  // namespace mirnet::inline MIRNET_ABI
