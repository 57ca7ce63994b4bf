// The position in a batch of pictures, and the time left for all of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

namespace cli {

/// Estimates the time left from file sizes: pixels are not known before a picture is read.
class BatchClock {
 public:
  using Clock = std::chrono::steady_clock;

  /// The sizes of the files of all pictures that are to be restored, in bytes; 0 where it is not known.
  explicit BatchClock(std::vector<double> sizes, Clock::time_point now = Clock::now());

  /// Begins the next picture; the first call begins the first one.
  void next() { ++at_; }

  std::size_t number() const { return at_; }  ///< of the picture, from 1 on
  std::size_t count() const { return sizes_.size(); }

  /// The seconds until all pictures are done, when this share of the current one is done. Nothing for a single picture,
  /// or before there is enough to go by.
  std::optional<double> seconds_left(double share, Clock::time_point now = Clock::now()) const;

 private:
  std::vector<double> sizes_;
  double total_ = 0;
  std::size_t at_ = 0;
  Clock::time_point begin_;
};

}  // namespace cli
