// mirnet compare: how far two images are apart.
#include <cmath>
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include <mirnet/image/quality.hpp>
#include <mirnet/io/image_file.hpp>

#include "commands.hpp"
#include "picture.hpp"

namespace cli {

std::string text(double value, int digits) {
  if (std::isnan(value)) return "-";
  char digits_text[64];
  std::snprintf(digits_text, sizeof digits_text, "%.*f", digits, value);
  return digits_text;
}

mirnet::Result<Likeness> compare_images(mirnet::Image const& a, std::string const& path_a, mirnet::Image const& b,
                                        std::string const& path_b) {
  auto const psnr = mirnet::psnr(a, b);
  if (!psnr) {
    auto const& error = psnr.error();
    return mirnet::Error(error.code(), "%s and %s: %s", path_a.c_str(), path_b.c_str(), error.message());
  }
  auto const ssim = mirnet::ssim(a, b);
  if (!ssim) return ssim.error();
  auto const difference = mirnet::max_difference(a, b);
  if (!difference) return difference.error();
  return Likeness{*psnr, *ssim, *difference};
}

static mirnet::Result<void> compare(std::string const& path_a, std::string const& path_b, Reading const& reading) {
  auto const a = read_picture(path_a, reading);
  if (!a) return a.error();
  auto const b = read_picture(path_b, reading);
  if (!b) return b.error();
  auto const likeness = compare_images(a->image, path_a, b->image, path_b);
  if (!likeness) return likeness.error();
  bool const whole = a->image.type() == mirnet::SampleType::u8 && b->image.type() == mirnet::SampleType::u8;
  bool const same = std::isinf(likeness->psnr);
  std::printf("PSNR                %s\n",
              same ? "infinite, the images are the same" : (text(likeness->psnr, 4) + " dB").c_str());
  std::printf("SSIM                %s\n", text(likeness->ssim, 6).c_str());
  std::printf("largest difference  %s of 255\n", text(likeness->difference, whole ? 0 : 6).c_str());
  return {};
}

void add_compare(CLI::App& program, Action& action) {
  struct Options {
    std::string a, b;
    Reading reading;
  };
  auto const options = std::make_shared<Options>();
  auto* const command = program.add_subcommand("compare", "Measure how much two images differ");
  command->add_option("A", options->a, "an image")->required();
  command->add_option("B", options->b, "an image of the same size")->required();
  add_reading(*command, options->reading);
  command->footer(
      "It prints PSNR, SSIM and the largest difference. \"mirnet denoise --compare\" saves a page for the eye.");
  command->callback([=, &action] { action = [=] { return compare(options->a, options->b, options->reading); }; });
}

}  // namespace cli
