// The times of several runs, and their statistics.
#pragma once

#include <vector>

namespace measure {

/// Times of the same thing, one a run, in milliseconds.
struct Samples {
  std::vector<double> ms;

  double mean() const;
  double minimum() const;
  /// The smallest time that is no less than this share of all times: 0.95 of ten runs is the tenth. The median of an
  /// even number of runs is the mean of the two in the middle.
  double percentile(double share) const;
  double median() const;
  /// The standard error of the median, from the median distance to it, as if times were normally distributed. NaN for
  /// fewer than three runs.
  double noise() const;

  Samples& operator+=(Samples const& other);
};

}  // namespace measure
