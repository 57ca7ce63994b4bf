// How far a computation has come, shown on the standard error, and the end of it when the user has had enough.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "batch_clock.hpp"

namespace cli {

/// How progress is shown: a bar that is drawn over itself, lines of JSON for other programs, or not at all.
enum class ProgressStyle { none, bar, json };

/// What "auto" stands for: a bar where the standard error is a terminal that can draw over itself.
ProgressStyle automatic_progress();

/// From now on, Ctrl-C and a request to end (SIGINT, SIGTERM) end the program at once, with a sentence and exit code
/// 130: to wait for a computation that gives back gigabytes would take longer than people do.
void end_on_interrupt();

/// Whether the sentence of an interrupted run also says how to continue a batch.
void say_how_to_go_on(bool can);

/// As long as one of these lives, the program is not ended but at its end: a file is being written.
class Uninterrupted {
 public:
  Uninterrupted() noexcept;
  Uninterrupted(Uninterrupted const&) = delete;
  Uninterrupted& operator=(Uninterrupted const&) = delete;
  ~Uninterrupted();
};

/// One computation from begin to end. Draws at most ten times a second, and clears its line when it ends.
class ProgressDisplay {
 public:
  /// `name` of the picture, which has `megapixels`; the computation takes `macs` multiply-accumulates. `batch` tells of
  /// the other pictures.
  ProgressDisplay(ProgressStyle style, std::string name, double megapixels, std::uint64_t macs,
                  BatchClock const& batch);
  ProgressDisplay(ProgressDisplay const&) = delete;
  ProgressDisplay& operator=(ProgressDisplay const&) = delete;
  ~ProgressDisplay();

  void update(std::uint64_t macs) noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  void draw(double share, double seconds) const noexcept;
  void print_json(double share, double seconds) const noexcept;

  BatchClock const& batch_;
  ProgressStyle style_;
  std::string name_;
  double megapixels_, macs_;
  Clock::time_point begin_, drawn_;
};

/// What a progress bar shows.
struct ProgressFigures {
  std::string name;
  double share, megapixels_a_second;
  std::optional<double> seconds_left;
  std::size_t number = 1, count = 1;  ///< of the picture, from 1 on; of all
  std::optional<double> total_seconds_left;
};

/// A line of at most so many columns, the important figures last: they stay where there is no room for the others.
std::string progress_line(ProgressFigures const& figures, int columns);

/// "8.6 s", "52 s", "2 min 5 s" or "1 h 2 min".
std::string duration_text(double seconds);

}  // namespace cli
