// Depthwise convolutions, of as many groups as input and output channels. There are few products for each number that
// is read, so memory and the loads from the caches are what limits:
//
//   tiles       kernels of 3x3, 5x5 and 7x7 with strides of 1 and 2. A tile is some output pixels of a strip of
//               channels, whose sums live in registers. Each pixel of the input that it sees is loaded (and of bfloat16
//               widened) once, and multiplied with all weights that it meets.
//   by taps     any other kernel: by the definition, pixel by pixel.
//
// Each output is one chain of multiply-adds over the taps, row by row, in both: which pixels share a tile, or a work
// tile, cannot be seen in the bits.
#pragma once

#include <algorithm>
#include <type_traits>

#include <mirnet/kernels/table.hpp>
#include <mirnet/simd/pairs.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::depthwise {

inline constexpr Index line = channels_per_line<float>;

// Loops over the columns that a tile sees, which may be more than MIRNET_UNROLL is for; and loops that are to stay
// loops.
#define MIRNET_UNROLL_COLUMNS _Pragma("GCC unroll 32")
#define MIRNET_ROLLED _Pragma("GCC unroll 1")

/// A tile's channels: those of one or two registers, a line or a part of one.
inline constexpr int vectors = line > simd::lanes ? 2 : 1;
inline constexpr Index strip = vectors * simd::lanes;
static_assert(line % strip == 0);

/// The weights of the strip of channels from c on; those of the next taps follow at intervals of a line.
MIRNET_ALWAYS_INLINE float const* weights_of(float const* weights, Index taps, Index c) noexcept {
  return weights + c / line * taps * line + c % line;
}

/// The channels of a strip, in the order that is the fastest for T.
template <class T>
MIRNET_ALWAYS_INLINE void load_strip(T const* p, simd::Pack (&v)[vectors]) noexcept {
  if constexpr (vectors == 2) {
    simd::load_in_own_order(p, v[0], v[1]);
  } else {
    v[0] = simd::load(p);
  }
}
template <class T>
MIRNET_ALWAYS_INLINE void store_strip(T* p, simd::Pack const (&v)[vectors]) noexcept {
  if constexpr (vectors == 2) {
    simd::store_in_own_order(p, v[0], v[1]);
  } else {
    simd::store(p, v[0]);
  }
}

/// The bias of a strip of channels from c on, from which their sums start.
template <int pixels, class T>
MIRNET_ALWAYS_INLINE void start(Convolution<T> const& work, Index c, simd::Pack (*sum)[pixels][vectors],
                                int rows) noexcept {
  using namespace simd;
  Pack first[vectors];
  if (work.bias != nullptr) {
    load_strip(work.bias + c, first);
  } else {
    MIRNET_UNROLL for (int v = 0; v < vectors; ++v) first[v] = broadcast(0.0f);
  }
  MIRNET_UNROLL for (int r = 0; r < rows; ++r) {
    MIRNET_UNROLL for (int p = 0; p < pixels; ++p) {
      MIRNET_UNROLL for (int v = 0; v < vectors; ++v) sum[r][p][v] = first[v];
    }
  }
}

/// compute(c) gives `sum` the sums of the strip of channels from c on. With a gate, it first does so for the channels
/// that these are multiplied with.
template <int rows, int pixels, class T, class Compute>
MIRNET_ALWAYS_INLINE void gated(Convolution<T> const& work, simd::Pack (&sum)[rows][pixels][vectors], Index c,
                                Compute&& compute) noexcept {
  simd::Pack second[rows][pixels][vectors];
#if defined(__GNUC__)
  asm("" : "=m"(second));  // GCC does not see that it is written before it is read
#endif
  for (Index part = work.gates ? c + work.output_lines * channels_per_line<T> / 2 : c;; part = c) {
    compute(part);
    if (part == c) break;
    MIRNET_UNROLL for (int r = 0; r < rows; ++r) {
      MIRNET_UNROLL for (int p = 0; p < pixels; ++p) {
        MIRNET_UNROLL for (int v = 0; v < vectors; ++v) second[r][p][v] = sum[r][p][v];
      }
    }
  }
  if (!work.gates) return;
  MIRNET_UNROLL for (int r = 0; r < rows; ++r) {
    MIRNET_UNROLL for (int p = 0; p < pixels; ++p) {
      MIRNET_UNROLL for (int v = 0; v < vectors; ++v) sum[r][p][v] = sum[r][p][v] * second[r][p][v];
    }
  }
}

/// The channels of the output: with a gate, half of the results'.
template <class T>
MIRNET_ALWAYS_INLINE Index output_channels(Convolution<T> const& work) noexcept {
  Index const results = work.output_lines * channels_per_line<T>;
  return work.gates ? results / 2 : results;
}

/// Activates and scales the sums of a strip of channels from c on, adds them to the residual or subtracts them from it,
/// and writes them. The first pixel is at `at`. Unless `whole`, only `row_count` x `pixel_count` of them exist.
template <bool whole, int rows, int pixels, class T>
MIRNET_ALWAYS_INLINE void finish(Convolution<T> const& work, simd::Pack (&sum)[rows][pixels][vectors], Index at,
                                 Index c, Index row_count, Index pixel_count) noexcept {
  using namespace simd;
  if (work.slopes != nullptr || static_cast<float>(work.slope) != 1.0f) {
    Pack slope[vectors];
    if (work.slopes != nullptr) {
      load_strip(work.slopes + c, slope);
    } else {
      MIRNET_UNROLL for (int v = 0; v < vectors; ++v) slope[v] = broadcast(static_cast<float>(work.slope));
    }
    MIRNET_UNROLL for (int r = 0; r < rows; ++r) {
      MIRNET_UNROLL for (int p = 0; p < pixels; ++p) {
        MIRNET_UNROLL for (int v = 0; v < vectors; ++v) sum[r][p][v] = prelu(sum[r][p][v], slope[v]);
      }
    }
  }
  if (work.scales != nullptr) {
    Pack scale[vectors];
    load_strip(work.scales + c, scale);
    MIRNET_UNROLL for (int r = 0; r < rows; ++r) {
      MIRNET_UNROLL for (int p = 0; p < pixels; ++p) {
        MIRNET_UNROLL for (int v = 0; v < vectors; ++v) sum[r][p][v] = sum[r][p][v] * scale[v];
      }
    }
  }
  Index const step = work.output_pixel_step;
  if (work.residual != nullptr) {
    MIRNET_UNROLL for (int r = 0; r < rows; ++r) {
      if (!whole && r >= row_count) break;
      T const* const residual = work.residual + at + r * work.output_row_step + c;
      MIRNET_UNROLL for (int p = 0; p < pixels; ++p) {
        if (!whole && p >= pixel_count) break;
        Pack other[vectors];
        load_strip(residual + p * step, other);
        MIRNET_UNROLL for (int v = 0; v < vectors; ++v) {
          sum[r][p][v] = work.subtracts ? other[v] - sum[r][p][v] : sum[r][p][v] + other[v];
        }
      }
    }
  }
  MIRNET_UNROLL for (int r = 0; r < rows; ++r) {
    if (!whole && r >= row_count) break;
    T* const out = work.output + at + r * work.output_row_step + c;
    if constexpr (whole && vectors == 1 && pixels % 2 == 0) {
      MIRNET_UNROLL for (int p = 0; p < pixels; p += 2) {
        store_two(out + p * step, sum[r][p][0], out + (p + 1) * step, sum[r][p + 1][0]);
      }
    } else {
      MIRNET_UNROLL for (int p = 0; p < pixels; ++p) {
        if (!whole && p >= pixel_count) break;
        store_strip(out + p * step, sum[r][p]);
      }
    }
  }
}

/// The output pixels of a work tile: `rows` rows of the part, of `pixels` pixels each.
struct Block {
  Index y, rows, x, pixels;
};

/// How work tiles divide the output of a part. They are numbered down the columns of work tiles: the rows of the input
/// that two work tiles share are in a cache.
template <class T>
struct Blocks {
  Index width, height;    // of the part's output
  Index pixels, rows;     // of a work tile
  Index blocks_in_a_row;  // work tiles above each other are divide_up(height, rows)

  explicit constexpr Blocks(Convolution<T> const& work) noexcept
      : width(work.output_width), height(work.output_height) {
    // The rows under the kernel are to stay in the second-level cache until the last output row that sees them.
    constexpr Index cache = Index{256} * 1024, fewest_pixels = 32, most_pixels = 2048, fewest_blocks = 16;
    Index const column = work.kernel_height * work.stride * work.input_pitch * static_cast<Index>(sizeof(T));
    Index const most = std::max<Index>(fewest_pixels, cache / column);
    blocks_in_a_row = divide_up(width, most);
    pixels = round_up(divide_up(width, blocks_in_a_row), 8);
    blocks_in_a_row = divide_up(width, pixels);
    // Many workers can share a small map, and tiles may be two rows high.
    Index const fair = divide_up(height * blocks_in_a_row, fewest_blocks);
    rows = round_up(std::clamp<Index>(most_pixels / pixels, 1, std::max<Index>(fair, 1)), 2);
  }

  constexpr Index count() const noexcept { return blocks_in_a_row * divide_up(height, rows); }

  constexpr Block operator[](Index index) const noexcept {
    Index const blocks_in_a_column = divide_up(height, rows);
    Index const x = index / blocks_in_a_column * pixels, y = index % blocks_in_a_column * rows;
    return {y, (std::min)(rows, height - y), x, (std::min)(pixels, width - x)};
  }
};

/// The kernel of size x size, without dilation.
template <class T, int size, int stride>
struct Tile {
  // Where a register has a line: 2x8 sums, the weights of a row of taps for both rows, and a pixel, of 32 registers.
  // Else 16 or 8 sums (4 of 8 registers), and what has room of the weights.
  static constexpr int rows = vectors == 1 && own_set.registers >= 32 ? 2 : 1;
  static constexpr int sums = own_set.registers >= 32 ? 16 : own_set.registers >= 16 ? 8 : 4;
  static constexpr int pixels = (std::max)(1, sums / rows / vectors);
  static constexpr int input_rows = (rows - 1) * stride + size, columns = (pixels - 1) * stride + size;

  /// Where the input of a tile lies.
  struct Input {
    T const* row[input_rows];  // null: of zeros
    Index pitch;
    Index column[columns];  // the offset of each; -1: of zeros, or not seen. Only of tiles that are not whole
  };

  static void compute(Convolution<T> const& work, float const* weights, Block const& block) noexcept {
    Index const channels = output_channels(work);
    Input input;
    input.pitch = work.input_pitch;
    for (Index y = block.y; y < block.y + block.rows; y += rows) {
      Index const row_count = std::min<Index>(rows, block.y + block.rows - y);
      find_rows(work, y, row_count, input);
      for (Index x = block.x; x < block.x + block.pixels; x += pixels) {
        Index const pixel_count = std::min<Index>(pixels, block.x + block.pixels - x);
        Index const left = x * stride - work.pad_left, at = y * work.output_row_step + x * work.output_pixel_step;
        if (row_count == rows && pixel_count == pixels && left >= 0 && left + columns <= work.width) {
          for (Index c = 0; c < channels; c += strip) {
            tile<true>(work, weights, input, left * work.input_pitch, at, c, rows, pixels);
          }
        } else {
          find_columns(work, left, pixel_count, input);
          for (Index c = 0; c < channels; c += strip) {
            tile<false>(work, weights, input, 0, at, c, row_count, pixel_count);
          }
        }
      }
    }
  }

 private:
  static void find_rows(Convolution<T> const& work, Index y, Index row_count, Input& input) noexcept {
    Index const top = (work.first_row + y) * stride - work.pad_top, seen = (row_count - 1) * stride + size;
    for (Index r = 0; r < input_rows; ++r) {
      Index const iy = r < seen ? padded_index(work.padding_mode, top + r, work.height) : -1;
      input.row[r] = iy < 0 ? nullptr : work.input + (iy - work.input_first_row) * work.width * work.input_pitch;
    }
  }

  static void find_columns(Convolution<T> const& work, Index left, Index pixel_count, Input& input) noexcept {
    Index const seen = (pixel_count - 1) * stride + size;
    for (Index i = 0; i < columns; ++i) {
      Index const ix = i < seen ? padded_index(work.padding_mode, left + i, work.width) : -1;
      input.column[i] = ix < 0 ? -1 : ix * work.input_pitch;
    }
  }

  /// A strip of channels from c on. A whole tile begins at the offset `left` of its rows.
  template <bool whole>
  static MIRNET_ALWAYS_INLINE void tile(Convolution<T> const& work, float const* weights, Input const& input,
                                        Index left, Index at, Index c, Index row_count, Index pixel_count) noexcept {
    using namespace simd;
    Pack sum[rows][pixels][vectors];
    gated(work, sum, c,
          [&](Index part) MIRNET_INLINE_LAMBDA { add_rows<whole>(work, weights, input, left, part, sum); });
    finish<whole>(work, sum, at, c, row_count, pixel_count);
  }

  template <bool whole>
  static MIRNET_ALWAYS_INLINE void add_rows(Convolution<T> const& work, float const* weights, Input const& input,
                                            Index left, Index c, simd::Pack (&sum)[rows][pixels][vectors]) noexcept {
    start(work, c, sum, rows);
    float const* tap = weights_of(weights, size * size, c);
    constexpr std::true_type yes;
    constexpr std::false_type no;
    // The taps of the first row of sums run ahead of those of the second.
    constexpr int last = input_rows - stride;
    auto const add = [&](int row, auto to_first, auto to_second) MIRNET_INLINE_LAMBDA {
      T const* const in = input.row[row];
      if (in != nullptr) {
        add_row<whole, to_first.value, to_second.value>(in + left + c, input.pitch, input.column, tap, sum);
      }
      tap += size * line;
    };
    if constexpr (rows == 1) {
      MIRNET_ROLLED for (int row = 0; row < input_rows; ++row) add(row, yes, no);
    } else {
      MIRNET_ROLLED for (int row = 0; row < stride; ++row) add(row, yes, no);
      MIRNET_ROLLED for (int row = stride; row < last; ++row) add(row, yes, yes);
      MIRNET_ROLLED for (int row = last; row < input_rows; ++row) add(row, no, yes);
    }
  }

  /// Adds the products of a row of the input to the first row of sums, with the weights at `tap`, and to the second,
  /// with those `stride` rows of taps before.
  template <bool whole, bool to_first, bool to_second>
  static MIRNET_ALWAYS_INLINE void add_row(T const* in, Index pitch, Index const* column, float const* tap,
                                           simd::Pack (&sum)[rows][pixels][vectors]) noexcept {
    using namespace simd;
    constexpr int other = rows - 1;
    constexpr bool in_registers = (rows * (pixels + size) + 1) * vectors <= own_set.registers;
    Pack weights[rows][size][vectors];
    auto const weight = [&](int row, int x, int v) MIRNET_INLINE_LAMBDA {
      return in_registers ? weights[row][x][v] : load(tap + (x - row * stride * size) * line + v * lanes);
    };
    if constexpr (in_registers) {
      MIRNET_UNROLL for (int x = 0; x < size; ++x) {
        MIRNET_UNROLL for (int v = 0; v < vectors; ++v) {
          if constexpr (to_first) weights[0][x][v] = load(tap + x * line + v * lanes);
          if constexpr (to_second) weights[other][x][v] = load(tap + (x - stride * size) * line + v * lanes);
        }
      }
    }
    MIRNET_UNROLL_COLUMNS for (int i = 0; i < columns; ++i) {
      if (!whole && column[i] < 0) continue;
      Pack pixel[vectors];
      load_strip(whole ? in : in + column[i], pixel);
      MIRNET_UNROLL for (int p = 0; p < pixels; ++p) {
        int const x = i - p * stride;
        if (x < 0 || x >= size) continue;
        MIRNET_UNROLL for (int v = 0; v < vectors; ++v) {
          if constexpr (to_first) accumulate(sum[0][p][v], pixel[v], weight(0, x, v));
          if constexpr (to_second) accumulate(sum[other][p][v], pixel[v], weight(other, x, v));
        }
      }
      if constexpr (whole) {
        in += pitch;
#if defined(__GNUC__)
        asm("" : "+r"(in));  // or GCC keeps an address in a register for each column
#endif
      }
    }
  }
};

/// Whether there are tiles for a kernel.
template <class T>
constexpr bool has_tiles(Convolution<T> const& work) noexcept {
  Index const size = work.kernel_height;
  return work.kernel_width == size && (size == 3 || size == 5 || size == 7) && work.stride <= 2 && work.dilation == 1;
}

/// One pixel of the output after the other.
template <class T>
void by_taps(Convolution<T> const& work, float const* weights, Index y, Index first, Index last) noexcept {
  using namespace simd;
  Index const taps = work.depth();
  for (Index x = first; x < last; ++x) {
    Index const at = y * work.output_row_step + x * work.output_pixel_step;
    for (Index c = 0; c < output_channels(work); c += strip) {
      Pack sum[1][1][vectors];
      gated(work, sum, c, [&](Index part) MIRNET_INLINE_LAMBDA {
        start(work, part, sum, 1);
        float const* tap = weights_of(weights, taps, part);
        for (Index ky = 0; ky < work.kernel_height; ++ky) {
          Index const top = (work.first_row + y) * work.stride - work.pad_top;
          Index const iy = padded_index(work.padding_mode, top + ky * work.dilation, work.height);
          for (Index kx = 0; kx < work.kernel_width; ++kx, tap += line) {
            Index const left = x * work.stride - work.pad_left;
            Index const ix = padded_index(work.padding_mode, left + kx * work.dilation, work.width);
            if (iy < 0 || ix < 0) continue;
            T const* const in = work.input + ((iy - work.input_first_row) * work.width + ix) * work.input_pitch + part;
            Pack pixel[vectors];
            load_strip(in, pixel);
            MIRNET_UNROLL for (int v = 0; v < vectors; ++v) accumulate(sum[0][0][v], pixel[v], load(tap + v * lanes));
          }
        }
      });
      finish<true>(work, sum, at, c, 1, 1);
    }
  }
}

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::depthwise

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::convolution_detail {

/// Convolutions of as many groups as input and output channels.
template <class T>
struct Depthwise {
  using Element = Operand<T>;
  static constexpr bool suits(Convolution<T> const& work) noexcept {
    return work.groups > 1 && work.groups == work.channels && work.groups == work.output_channels;
  }
  static constexpr char const* name(Convolution<T> const& work) noexcept {
    return depthwise::has_tiles(work) ? "depthwise" : "depthwise by taps";
  }
  static constexpr Index tile_height = 1, tile_width = 1;
  static constexpr Index tile_products(Convolution<T> const&) noexcept { return 0; }
  static constexpr Index scratch_elements(Convolution<T> const&) noexcept { return 0; }

  /// As floats, packed as those of float are, but in the order of load_strip.
  static constexpr Index weight_lines(Convolution<T> const& work) noexcept {
    return std::is_same_v<T, float> ? 0 : work.output_lines;
  }
  static constexpr Index weights_elements(Convolution<T> const& work) noexcept {
    return weight_lines(work) * work.depth() * depthwise::line;
  }
  static void transform_weights(Convolution<T> const& work, Index item, Element* prepared) noexcept {
    using namespace simd;
    Index const taps = work.depth(), first = item * depthwise::line;
    float* to = reinterpret_cast<float*>(prepared) + first * taps;
    for (Index tap = 0; tap < taps; ++tap, to += depthwise::line) {
      for (Index c = 0; c < depthwise::line; c += depthwise::strip) {
        Pack weight[depthwise::vectors];
        depthwise::load_strip(work.weights + packed_position<T>(taps, first + c, tap), weight);
        for (int v = 0; v < depthwise::vectors; ++v) store(to + c + v * lanes, weight[v]);
      }
    }
  }

  static constexpr Index work_tiles(Convolution<T> const& work) noexcept { return depthwise::Blocks<T>(work).count(); }

  /// body(y, x, pixels) for the runs of output pixels of a work tile.
  template <class Body>
  static void each_run(Convolution<T> const& work, Index index, Body&& body) noexcept {
    depthwise::Block const block = depthwise::Blocks<T>(work)[index];
    for (Index y = block.y; y < block.y + block.rows; ++y) body(y, block.x, block.pixels);
  }

  static void compute(Convolution<T> const& work, Element const* prepared, Index index, float*) noexcept {
    using namespace depthwise;
    float const* weights;
    if constexpr (std::is_same_v<T, float>) {
      weights = work.weights;  // these were not prepared
    } else {
      weights = reinterpret_cast<float const*>(prepared);
    }
    if (!has_tiles(work)) {
      return each_run(work, index, [&](Index y, Index x, Index pixels) { by_taps(work, weights, y, x, x + pixels); });
    }
    Block const block = Blocks<T>(work)[index];
    switch (work.kernel_height * 2 + work.stride) {
      case 3 * 2 + 1: return Tile<T, 3, 1>::compute(work, weights, block);
      case 3 * 2 + 2: return Tile<T, 3, 2>::compute(work, weights, block);
      case 5 * 2 + 1: return Tile<T, 5, 1>::compute(work, weights, block);
      case 5 * 2 + 2: return Tile<T, 5, 2>::compute(work, weights, block);
      case 7 * 2 + 1: return Tile<T, 7, 1>::compute(work, weights, block);
      default: return Tile<T, 7, 2>::compute(work, weights, block);
    }
  }
};

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::convolution_detail

#undef MIRNET_UNROLL_COLUMNS
#undef MIRNET_ROLLED
