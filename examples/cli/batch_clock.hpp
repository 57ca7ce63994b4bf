// The place in a batch of pictures, and when it will be over.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

namespace cli {

/// How long pictures take is not known before they are read; it goes with the size of their files nearly enough.
class BatchClock {
 public:
  using Clock = std::chrono::steady_clock;

  /// The sizes of the files of all pictures that are to be restored, in bytes; 0 where it is not known.
  explicit BatchClock(std::vector<double> sizes, Clock::time_point now = Clock::now());

  /// The next picture begins, at the first call the first one.
  void next() { ++at_; }

  std::size_t number() const { return at_; }  ///< of the picture, from 1 on
  std::size_t count() const { return sizes_.size(); }

  /// The seconds until all are done when this share of the picture is. Nothing where there is but one, or where too
  /// little has been done to tell.
  std::optional<double> seconds_left(double share, Clock::time_point now = Clock::now()) const;

 private:
  std::vector<double> sizes_;
  double total_ = 0;
  std::size_t at_ = 0;
  Clock::time_point begin_;
};

}  // namespace cli
