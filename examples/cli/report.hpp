// What became of a picture, for people and for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <mirnet/image/noise.hpp>

#include "commands.hpp"
#include "engine.hpp"
#include "files.hpp"

namespace cli {

/// How all pictures of a call were computed.
struct Settings {
  std::string instruction_set, precision, algorithm, network, model, checksum;
  mirnet::Index threads = 0;
};

/// Seconds of each phase.
struct Times {
  double read = 0, plan = 0, run = 0, write = 0;
};

struct Report {
  enum class State { restored, estimated, previewed, skipped, failed };

  std::string input, output;
  std::optional<std::string> right;  ///< the right view, where the input is the left one
  State state = State::failed;
  std::optional<mirnet::Error> error;
  std::vector<std::string> warnings;  ///< what the result lacks or differs in

  // What is known as far as it came.
  mirnet::Index width = 0, height = 0, channels = 0;
  mirnet::SampleType read = mirnet::SampleType::u8, stored = mirnet::SampleType::u8;
  std::optional<Tiling> tiling;
  Times seconds;
  std::optional<double> estimated_seconds;
  std::size_t crops = 0;  ///< of a preview
  float strength = 1;
  std::optional<mirnet::NoiseEstimate> noise;
  mirnet::Index hot_pixels = 0;  ///< removed
  std::optional<Likeness> before, after;

  double megapixels() const { return static_cast<double>(width * height) * 1e-6; }
};

/// Everything about one picture, several lines, for --verbose.
std::string long_text(Report const& report, Settings const& settings);

/// What the program takes while it restores a picture that was planned, in bytes.
double memory_of(Report const& report);

/// "24.0 megapixels", or "240 pixels" of a small picture.
std::string pixels_text(mirnet::Index pixels);

/// One line for a picture.
std::string short_text(Report const& report);

/// One line of JSON: an object whose keys the README lists.
std::string json_text(Report const& report, Settings const& settings);

/// The same of a whole batch, where `verb` is the state of a picture that is done.
struct Counts {
  std::size_t done = 0, skipped = 0, failed = 0;
  double seconds = 0;  ///< that passed, or of an estimate
  double bytes = 0;    ///< of memory, of an estimate
};
std::string summary_text(Counts const& counts, WorkList const& all, char const* verb);
std::string summary_json(Counts const& counts, WorkList const& all, char const* verb);

}  // namespace cli
