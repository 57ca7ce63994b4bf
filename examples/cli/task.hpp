// What a verb of the program does to photographs. All verbs share one pipeline: find the inputs (files.hpp), read,
// plan, restore and write each (restorer.hpp), and report (batch.hpp).
#pragma once

namespace cli {

struct Task {
  char const* verb;      ///< the command
  char const* summary;   ///< for --help
  char const* footer;    ///< an example
  char const* suffix;    ///< of results that get no other name
  char const* strength;  ///< what --strength weakens, for --help
};

inline constexpr Task denoise_task{"denoise", "Remove noise from photographs",
                                   "Example: mirnet denoise noisy.jpg clean.jpg", "-clean",
                                   "how much of the noise to remove, 0-1 (default: 1)"};

}  // namespace cli
