#include "batch_clock.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cli {

BatchClock::BatchClock(std::vector<double> sizes, Clock::time_point now) : sizes_(std::move(sizes)), begin_(now) {
  double const known = std::accumulate(sizes_.begin(), sizes_.end(), 0.0);
  auto const unknown = static_cast<std::size_t>(std::count(sizes_.begin(), sizes_.end(), 0.0));
  auto const usual = unknown < sizes_.size() ? known / static_cast<double>(sizes_.size() - unknown) : 1.0;
  std::replace(sizes_.begin(), sizes_.end(), 0.0, usual);
  total_ = std::accumulate(sizes_.begin(), sizes_.end(), 0.0);
}

std::optional<double> BatchClock::seconds_left(double share, Clock::time_point now) const {
  if (count() < 2 || at_ == 0 || at_ > count()) return {};
  auto const current = sizes_.begin() + static_cast<std::ptrdiff_t>(at_ - 1);
  double const done = std::accumulate(sizes_.begin(), current, 0.0) + share * *current;
  constexpr double least = 0.01, least_seconds = 1;
  double const seconds = std::chrono::duration<double>(now - begin_).count();
  if (done < least * total_ || seconds < least_seconds) return {};
  return seconds / done * (total_ - done);
}

}  // namespace cli
