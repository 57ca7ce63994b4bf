// What the subcommands of the program share.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <mirnet/base/result.hpp>
#include <mirnet/image/image.hpp>

namespace CLI {
class App;
}  // namespace CLI

namespace cli {

/// What the chosen subcommand does once all options are read.
using Action = std::function<mirnet::Result<void>()>;

void add_denoise(CLI::App& program, Action& action);
void add_info(CLI::App& program, Action& action);
void add_compare(CLI::App& program, Action& action);
void add_bench(CLI::App& program, Action& action);
void add_profile(CLI::App& program, Action& action);

struct Likeness {
  double psnr, ssim, difference;
};

/// How alike two images are; the paths are for the sentence where they cannot be compared.
mirnet::Result<Likeness> compare_images(mirnet::Image const& a, std::string const& path_a, mirnet::Image const& b,
                                        std::string const& path_b);

/// A number with so many digits after the point; "-" for NaN.
std::string text(double value, int digits);

/// What printf would print, of which the first 1023 bytes count.
MIRNET_PRINTF(1, 2) std::string format(char const* pattern, ...);

/// A message for one line of a terminal or a log, whatever the names in it hold.
std::string one_line(std::string message);

/// "mirnet: message", one line on the standard error.
void print_error(std::string const& message);

/// "mirnet: warning: file: sentence" for each sentence, on the standard error.
void print_warnings(std::string const& file, std::vector<std::string> const& sentences);

/// How pictures are read (picture.hpp).
struct Reading;

/// Adds --max-pixels and --no-sandbox.
void add_reading(CLI::App& command, Reading& reading);

/// Adds --threads. 0, where it is not given, stands for usable_cores().
void add_threads(CLI::App& command, mirnet::Index& threads);

}  // namespace cli
