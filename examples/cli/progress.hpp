// How far a computation has come, shown on the standard error, and the end of it when the user has had enough.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace cli {

/// How progress is shown: a bar that is drawn over itself, lines of JSON for other programs, or not at all.
enum class ProgressStyle { none, bar, json };

/// What "auto" stands for: a bar where the standard error is a terminal that can draw over itself.
ProgressStyle automatic_progress();

/// From now on, Ctrl-C and a request to end (SIGINT, SIGTERM) end the program at once, with a sentence and exit code
/// 130: to wait for a computation that gives back gigabytes would take longer than people do.
void end_on_interrupt();

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
  /// `name` of the picture, which has `megapixels`; the computation takes `macs` multiply-accumulates.
  ProgressDisplay(ProgressStyle style, std::string name, double megapixels, std::uint64_t macs);
  ProgressDisplay(ProgressDisplay const&) = delete;
  ProgressDisplay& operator=(ProgressDisplay const&) = delete;
  ~ProgressDisplay();

  void update(std::uint64_t macs) noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  void draw(double share, double seconds) const noexcept;
  void print_json(double share, double seconds) const noexcept;

  ProgressStyle style_;
  std::string name_;
  double megapixels_, macs_;
  Clock::time_point begin_, drawn_;
};

/// "0:07", "12:34" or "1:02:03".
std::string clock_text(double seconds);

}  // namespace cli
