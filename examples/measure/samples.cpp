#include "measure/samples.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>

namespace measure {
namespace {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

double median_of(std::vector<double> values) {
  if (values.empty()) return nothing;
  std::sort(values.begin(), values.end());
  auto const half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace

double Samples::mean() const {
  return ms.empty() ? nothing : std::accumulate(ms.begin(), ms.end(), 0.0) / static_cast<double>(ms.size());
}

double Samples::minimum() const { return ms.empty() ? nothing : *std::min_element(ms.begin(), ms.end()); }

double Samples::percentile(double share) const {
  if (ms.empty()) return nothing;
  auto sorted = ms;
  std::sort(sorted.begin(), sorted.end());
  auto const rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

double Samples::median() const { return median_of(ms); }

double Samples::noise() const {
  if (ms.size() < 3) return nothing;
  double const middle = median();
  std::vector<double> distances;
  for (double const time : ms) distances.push_back(std::abs(time - middle));
  // 1.4826 makes a standard deviation of the median distance, 1.2533 / sqrt(n) the error of a median of that.
  return 1.4826 * median_of(distances) * 1.2533 / std::sqrt(static_cast<double>(ms.size()));
}

Samples& Samples::operator+=(Samples const& other) {
  ms.resize(std::max(ms.size(), other.ms.size()));
  for (std::size_t i = 0; i < other.ms.size(); ++i) ms[i] += other.ms[i];
  return *this;
}

}  // namespace measure
