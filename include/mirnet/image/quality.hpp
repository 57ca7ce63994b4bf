// How far two images are apart: PSNR, SSIM and the largest difference, over all channels and on the scale where white
// is 255 for every sample type. PSNR and SSIM are those of scikit-image with data_range=255; its SSIM settings are
// gaussian_weights=True, sigma=1.5, use_sample_covariance=False, the ones of Wang et al. (2004).
#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <span>

#include <mirnet/image/image.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Sides shorter than this have no SSIM.
inline constexpr Index ssim_window = 11;

namespace detail {

template <class T>
constexpr double level(T sample) noexcept {
  return static_cast<double>(sample) * (255.0 / static_cast<double>(white<T>));
}

inline Result<void> check_comparable(Image const& a, Image const& b) noexcept {
  if (a.width() == b.width() && a.height() == b.height() && a.channels() == b.channels()) return {};
  return Error(ErrorCode::input,
               "images of %lld x %lld pixels with %lld channels and of %lld x %lld with %lld cannot be compared",
               static_cast<long long>(a.width()), static_cast<long long>(a.height()),
               static_cast<long long>(a.channels()), static_cast<long long>(b.width()),
               static_cast<long long>(b.height()), static_cast<long long>(b.channels()));
}

/// body(levels of a, levels of b) for every sample.
template <class Body>
void for_each_pair(Image const& a, Image const& b, Body body) noexcept {
  a.visit([&](auto from_a) {
    b.visit([&](auto from_b) {
      for (std::size_t i = 0; i < from_a.size(); ++i) body(level(from_a[i]), level(from_b[i]));
    });
  });
}

inline void read_levels(Image const& image, Index y, Index channel, double* row) noexcept {
  image.visit([&](auto samples) {
    auto const* from = samples.data() + y * image.width() * image.channels() + channel;
    for (Index x = 0; x < image.width(); ++x) row[x] = level(from[x * image.channels()]);
  });
}

/// The weights of the window: a Gaussian of sigma 1.5 that sums to 1.
inline std::array<double, ssim_window> gaussian_window() noexcept {
  constexpr std::size_t middle = ssim_window / 2;
  std::array<double, ssim_window> weights{};
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    double const distance = static_cast<double>(i) - static_cast<double>(middle);
    sum += weights[i] = std::exp(-0.5 * distance * distance / (1.5 * 1.5));
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// One channel's sum of SSIM over all whole windows. The last 11 rows of the five filtered quantities, x, y, x*x, y*y
/// and x*y, are in `memory`, so that the memory grows with the width only.
class SsimChannel {
 public:
  static constexpr Index quantities = 5;
  static constexpr Index doubles_a_column = quantities * ssim_window + 2;

  SsimChannel(Image const& a, Image const& b, Index channel, double* memory) noexcept
      : a_(a),
        b_(b),
        channel_(channel),
        columns_(a.width() - ssim_window + 1),
        row_a_(memory),
        row_b_(memory + a.width()),
        ring_(memory + 2 * a.width()) {}

  double sum() noexcept {
    double total = 0.0;
    for (Index y = 0; y < a_.height(); ++y) {
      filter_row(y);
      if (y + 1 >= ssim_window) total += windows_that_end_at(y);
    }
    return total;
  }

 private:
  double* filtered(Index y, Index quantity) noexcept {
    return ring_ + (y % ssim_window * quantities + quantity) * a_.width();
  }

  void filter_row(Index y) noexcept {
    read_levels(a_, y, channel_, row_a_);
    read_levels(b_, y, channel_, row_b_);
    for (Index x = 0; x < columns_; ++x) {
      double sums[quantities] = {};
      for (Index i = 0; i < ssim_window; ++i) {
        double const p = row_a_[x + i], q = row_b_[x + i], weight = weights_[static_cast<std::size_t>(i)];
        double const values[quantities] = {p, q, p * p, q * q, p * q};
        for (Index k = 0; k < quantities; ++k) sums[k] += weight * values[k];
      }
      for (Index k = 0; k < quantities; ++k) filtered(y, k)[x] = sums[k];
    }
  }

  double windows_that_end_at(Index y) noexcept {
    double total = 0.0;
    for (Index x = 0; x < columns_; ++x) {
      double mean[quantities] = {};
      for (Index i = 0; i < ssim_window; ++i) {
        double const weight = weights_[static_cast<std::size_t>(i)];
        for (Index k = 0; k < quantities; ++k) mean[k] += weight * filtered(y - ssim_window + 1 + i, k)[x];
      }
      total += similarity(mean);
    }
    return total;
  }

  /// Equation 13 of Wang et al.
  static double similarity(double const (&mean)[quantities]) noexcept {
    constexpr double c1 = (0.01 * 255) * (0.01 * 255), c2 = (0.03 * 255) * (0.03 * 255);
    auto const [x, y, xx, yy, xy] = mean;
    double const variance_x = xx - x * x, variance_y = yy - y * y, covariance = xy - x * y;
    return (2 * x * y + c1) * (2 * covariance + c2) / ((x * x + y * y + c1) * (variance_x + variance_y + c2));
  }

  Image const& a_;
  Image const& b_;
  Index channel_, columns_;
  double *row_a_, *row_b_, *ring_;
  std::array<double, ssim_window> weights_ = gaussian_window();
};

}  // namespace detail

/// Peak signal-to-noise ratio in dB, infinite for equal images. Errors: input, where sizes or channels differ.
inline Result<double> psnr(Image const& a, Image const& b) noexcept {
  auto const comparable = detail::check_comparable(a, b);
  if (!comparable) return comparable.error();
  double sum = 0.0;
  detail::for_each_pair(a, b, [&](double p, double q) { sum += (p - q) * (p - q); });
  double const mean = sum / static_cast<double>(a.pixels() * a.channels());
  return mean == 0.0 ? std::numeric_limits<double>::infinity() : 10.0 * std::log10(255.0 * 255.0 / mean);
}

/// The largest difference of two samples. Errors: input, where sizes or channels differ.
inline Result<double> max_difference(Image const& a, Image const& b) noexcept {
  auto const comparable = detail::check_comparable(a, b);
  if (!comparable) return comparable.error();
  double largest = 0.0;
  detail::for_each_pair(a, b, [&](double p, double q) { largest = (std::max)(largest, std::fabs(p - q)); });
  return largest;
}

/// Mean structural similarity, NaN where a side is shorter than the window of 11 pixels. Errors: input, where sizes or
/// channels differ; memory.
inline Result<double> ssim(Image const& a, Image const& b) noexcept {
  auto const comparable = detail::check_comparable(a, b);
  if (!comparable) return comparable.error();
  if (a.width() < ssim_window || a.height() < ssim_window) return std::numeric_limits<double>::quiet_NaN();
  constexpr Index column = detail::SsimChannel::doubles_a_column * static_cast<Index>(sizeof(double));
  auto const bytes = checked_product(a.width(), column);
  if (!bytes) return Error(ErrorCode::memory, "an image as wide as this needs more memory than can be addressed");
  auto const memory = Memory::allocate(*bytes);
  if (!memory) return memory.error();
  double sum = 0.0;
  for (Index channel = 0; channel < a.channels(); ++channel) {
    sum += detail::SsimChannel(a, b, channel, reinterpret_cast<double*>(memory->bytes().data())).sum();
  }
  auto const windows = (a.width() - ssim_window + 1) * (a.height() - ssim_window + 1);
  return sum / static_cast<double>(windows * a.channels());
}

}  // namespace mirnet::inline MIRNET_ABI
