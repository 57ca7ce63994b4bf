#include "restore_options.hpp"

#include <charconv>
#include <cstdlib>
#include <initializer_list>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <mirnet/image/restore.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "memory_limit.hpp"
#include "naming.hpp"

namespace cli {
namespace {

/// The largest side of tiles that --tile names.
mirnet::Result<mirnet::Index> parse_tile(std::string const& text) {
  mirnet::Index side = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  if (error == std::errc() && end == text.data() + text.size() && side >= mirnet::shortest_tile) return side;
  return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                       "--tile: must be auto, off or a number of pixels from %lld, not \"%s\"",
                       static_cast<long long>(mirnet::shortest_tile), text.c_str());
}

void add_files(CLI::App& command, Task const& task, RestoreOptions& options) {
  auto const suffix = std::string(task.suffix);
  command
      .add_option("FILES", options.files.files,
                  "INPUT OUTPUT, or photographs and folders, one or more. A photograph's result is saved beside it "
                  "with " +
                      suffix + " added to its name; a folder's results go to FOLDER" + suffix +
                      ", beside the folder. - is standard input or output. Reads " + readable_names() + "; writes " +
                      writable_names())
      ->required()
      ->type_name("")
      // Any number, each as it is. CLI11 would take "[a,b]" for an array where it allows extra arguments.
      ->expected(CLI::detail::expected_max_vector_size, CLI::detail::expected_max_vector_size)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  auto* const output = command
                           .add_option("-o,--output", options.files.output,
                                       "where results go: a file, or a folder if the name ends in / or there are "
                                       "several inputs; created if missing")
                           ->type_name("PATH");
  command.add_option("--output-dir", options.files.output_folder, "the same, always a folder")
      ->type_name("DIR")
      ->excludes(output);
  command
      .add_option("--suffix", options.files.suffix,
                  "text added to each result's name, before the extension; results are saved beside the inputs, or in "
                  "--output-dir")
      ->type_name("TEXT")
      ->excludes(output);
  auto* const format = command.add_option("--format", options.files.format,
                                          "output format when no output name is given (default: same as the input)");
  take_one_of(*format, writable_extensions());
  command.add_flag("--keep-extension", options.files.keep_extension,
                   "keep the input's extension in the result's name if the format differs: a.tga.png, not a.png");
  command.add_flag("-r,--recursive", options.files.recursive, "include subfolders");
  command.add_flag("--include-results", options.files.include_results,
                   "in folders, also process results of earlier runs");
  command.add_flag("--skip-existing", options.skip_existing, "skip photographs whose result already exists");
  command.add_flag("--overwrite", options.stored.overwrite,
                   "replace existing files, even the input if it is named as the output");
  command.add_flag("--estimate", options.estimate, "show the estimated time and memory without processing");
}

void add_results(CLI::App& command, Task const& task, RestoreOptions& options) {
  auto* const file = command.add_option("--weights", options.weights.file, "weight file to use instead of --model");
  file->type_name("FILE.mirw");
  add_model(command, *file, options.weights);
  command
      .add_option("--strength", options.strength_text,
                  std::string(task.strength) +
                      "; auto measures the noise of each photograph, and leaves clean ones as "
                      "they are")
      ->check([](std::string const& text) { return text == "auto" ? std::string() : number_between(0, 1)(text); })
      ->type_name("X|auto");
  auto* const grain = command.add_option("--keep-grain", options.keep_grain,
                                         "how much of the noise in brightness to keep, 0-1 (default: 0); colour noise "
                                         "is removed all the same");
  grain->check(number_between(0, 1))->type_name("X");
  command.add_flag("--colour-only,--color-only", options.colour_only, "remove colour noise only; keep brightness")
      ->excludes(grain);
  command.add_flag("--hot-pixels", options.hot_pixels, "remove hot and dead pixels first");
  command
      .add_option("--sharpen", options.sharpen,
                  "sharpen the result gently, 0-1 (default: 0); leaves remaining noise alone")
      ->check(number_between(0, 1))
      ->type_name("X");
  command
      .add_option("--quality,--quality-jpeg", options.quality,
                  "quality of JPEG and lossy WebP output, 1-100 (default: 95); from 90, JPEG stores colour at full "
                  "resolution")
      ->check([](std::string const& text) {
        bool const old = text == "standard" || text == "high";
        return old ? std::string() : whole_number_between(1, 100)(text);
      })
      ->type_name("N");
  auto* const lossless =
      command.add_flag("--lossless", options.lossless, "write lossless WebP or JPEG XL (default: same as the input)");
  command.add_flag("--lossy", options.lossy, "write lossy WebP or JPEG XL")->excludes(lossless);
  command.add_option("--depth", options.stored.depth, "bits per sample of the output (default: same as the input)")
      ->check(CLI::IsMember({8, 16}).description(""))
      ->type_name("8|16");
}

void add_messages(CLI::App& command, RestoreOptions& options) {
  auto* const progress =
      command.add_option("--progress", options.progress,
                         "progress on standard error: a bar, lines of json, or none; auto (default) draws a bar in a "
                         "terminal");
  take_one_of(*progress, {"auto", "bar", "json", "none"});
  command.add_flag("--json", options.json, "print one line of JSON per photograph");
  command.add_flag("--verbose", options.verbose, "print size, settings, time and memory of each photograph");
  command.add_flag("--quiet", options.quiet, "print errors only");
}

}  // namespace

ProgressStyle RestoreOptions::style() const {
  if (quiet || progress == "none") return ProgressStyle::none;
  if (progress == "json") return ProgressStyle::json;
  return progress == "bar" ? ProgressStyle::bar : automatic_progress();
}

void add_restore_options(CLI::App& command, Task const& task, RestoreOptions& options) {
  options.files.usual_suffix = task.suffix;
  add_files(command, task, options);
  add_results(command, task, options);
  add_reading(command, options.reading);
  add_threads(command, options.threads);
  add_computing(command, options.computing);
  command
      .add_option("--right", options.right,
                  "the right view, of the same size, for weights that take two views of a scene (MIRNet-v2 for "
                  "defocus); the picture is the left view, and so is the result")
      ->type_name("FILE");
  command.add_option("--crop", options.crop_text, "process only this part, in pixels from the upper left corner")
      ->type_name("X,Y,W,H");
  command
      .add_option("--reference", options.reference,
                  "the same photograph without noise: print PSNR and SSIM before and after")
      ->type_name("FILE");
  auto* const preview = command.add_flag("--preview", options.preview,
                                         "process only the most telling crops, and show them before and after in a "
                                         "page, NAME-preview.html; writes no results");
  for (auto const* name : {"--output", "--output-dir", "--crop", "--reference", "--estimate", "--skip-existing"}) {
    if (auto* const other = find_option(command, name)) preview->excludes(other);
  }
  command
      .add_option(
          "--compare", options.page,
          "save a page that shows all photographs before and after, with sliders; of many photographs, the most "
          "telling crops")
      ->type_name("FILE.html")
      ->excludes(find_option(command, "--estimate"));
  command.add_option("--min-psnr", options.min_psnr, "with --reference: fail with exit code 6 if the PSNR is lower")
      ->type_name("DB");
  command
      .add_option("--max-memory", options.max_memory,
                  "memory limit, such as 500M or 2G (default: three quarters of the free memory)")
      ->type_name("SIZE");
  command
      .add_option(
          "--tile", options.tile,
          "process in overlapping tiles of at most N x N pixels (default: auto, 768); off processes the image as "
          "a whole, which takes much more memory and gives slightly different pixels")
      ->type_name("auto|off|N");
  add_messages(command, options);
  for (auto const& [group, names] : std::initializer_list<std::pair<char const*, std::vector<char const*>>>{
           {"Results",
            {"--model", "--weights", "--strength", "--keep-grain", "--colour-only", "--hot-pixels", "--sharpen",
             "--quality", "--lossless", "--lossy", "--depth"}},
           {"Files",
            {"--output", "--output-dir", "--suffix", "--format", "--keep-extension", "--recursive", "--include-results",
             "--skip-existing", "--overwrite", "--estimate", "--right", "--max-pixels", "--no-sandbox"}},
           {"Comparing", {"--crop", "--preview", "--compare", "--reference", "--min-psnr"}},
           {"Memory and speed", {"--max-memory", "--tile", "--threads", "--isa", "--precision", "--algorithm"}},
           {"Messages", {"--progress", "--json", "--verbose", "--quiet"}}}) {
    for (auto const* name : names) find_option(command, name)->group(group);
  }
}

mirnet::Result<void> settle(RestoreOptions& options) {
  if (options.max_memory) {
    auto const limit = parse_bytes(*options.max_memory);
    if (!limit) return limit.error();
    options.reading.memory_limit = *limit;
  }
  if (options.lossless || options.lossy) options.stored.lossless = options.lossless;
  if (options.colour_only) options.keep_grain = 1;
  if (options.strength_text != "auto") options.strength = std::strtof(options.strength_text.c_str(), nullptr);
  if (options.right && !options.strength) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                         "--strength auto: measures the noise of one picture; expected a number with --right");
  }
  if (options.quality == "standard" || options.quality == "high") {
    warn_of_old_quality(*options.quality);
    options.weights.model = *options.quality;
  } else if (options.quality) {
    options.stored.encoding.quality = std::stoi(*options.quality);
  }
  if (options.tile != "auto" && options.tile != "off") {
    auto const side = parse_tile(options.tile);
    if (!side) return side.error();
    options.tile_side = *side;
  }
  if (options.crop_text) {
    auto const part = parse_rectangle(*options.crop_text);
    if (!part) return mirnet::Error(part.error().code(), "--crop: %s", part.error().message());
    options.crop = *part;
  }
  options.files.inputs_only = options.preview;
  if (options.preview && !options.page) {
    auto page = page_name(options.files.files.front(), "-preview");
    if (!page) return page.error();
    options.page = *std::move(page);
  }
  if (options.min_psnr && !options.reference) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument, "--min-psnr: needs a --reference to compare with");
  }
  auto const printable = check_standard_output();
  if (!printable && (options.json || options.estimate)) return printable;
  options.reports = printable.ok() && !options.quiet;
  return {};
}

}  // namespace cli
