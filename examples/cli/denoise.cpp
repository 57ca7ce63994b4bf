// mirnet denoise: a noisy photograph in, a clean one out. Whatever can go wrong before the long computation is found
// before it.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include <mirnet/io/restore.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "commands.hpp"
#include "instruction_sets.hpp"
#include "machine.hpp"
#include "memory_limit.hpp"
#include "picture.hpp"
#include "progress.hpp"
#include "weights.hpp"

namespace cli {
namespace {

struct Options {
  std::string input, output;
  WeightsOptions weights;
  std::optional<std::string> isa, reference;
  mirnet::Index threads = 0;
  std::string algorithm = "auto", precision = "fp32", tile = "auto", progress = "auto";
  mirnet::Index tile_side = 0;
  std::optional<std::string> max_memory;
  double memory_limit = 0;  ///< bytes; 0: none was named
  float strength = 1.0f, keep_grain = 0.0f;
  PictureOptions stored;
  bool quiet = false;
};

/// The largest side of tiles that --tile names.
mirnet::Result<mirnet::Index> parse_tile(std::string const& text) {
  mirnet::Index side = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  if (error == std::errc() && end == text.data() + text.size() && side >= mirnet::shortest_tile) return side;
  return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                       "--tile: \"%s\" is none of auto, off and a number of pixels from %lld on", text.c_str(),
                       static_cast<long long>(mirnet::shortest_tile));
}

/// Refuses a picture for which the memory is not there or not allowed: the system would promise it all the same, and
/// end the program when it is used.
template <class T>
mirnet::Result<mirnet::Tiling> plan(Options const& options, mirnet::Model<T> const& model,
                                    mirnet::Context<T> const& context, mirnet::Image const& image) {
  // The compressed result lies beside the picture and the result when the network's memory is free again.
  double const budget = memory_budget(options.memory_limit);
  double const encoding = 4.0 * static_cast<double>(image.bytes().size());
  auto const too_little = [&](double needed) {
    return mirnet::Error(mirnet::ErrorCode::memory, "%lld x %lld pixels need %s of memory, and %s %s",
                         static_cast<long long>(image.width()), static_cast<long long>(image.height()),
                         bytes_text(needed).c_str(), bytes_text(std::max(budget, 0.0)).c_str(),
                         options.memory_limit > 0 ? "are left of --max-memory" : "may be taken of what is free");
  };
  if (encoding > budget) return too_little(encoding);
  constexpr double most = 4e18;  // what an Index holds
  if (options.tile == "auto") {
    return mirnet::plan_within(model, context, image, static_cast<mirnet::Index>(std::clamp(budget, 0.0, most)));
  }
  auto tiling = options.tile == "off" ? mirnet::plan_whole(model, context, image)
                                      : mirnet::plan_tiles(model, context, image, options.tile_side);
  if (tiling && static_cast<double>(tiling->bytes) > budget) return too_little(static_cast<double>(tiling->bytes));
  return tiling;
}

struct Reference {
  mirnet::Image image;
  Likeness before;
};

mirnet::Result<Reference> read_reference(Options const& options, mirnet::Image const& input) {
  auto picture = read_picture(*options.reference);
  if (!picture) return picture.error();
  auto& image = picture->image;
  auto const before = compare_images(input, options.input, image, *options.reference);
  if (!before) return before.error();
  return Reference{std::move(image), *before};
}

/// All that the computation needs but the weights, checked.
struct Job {
  InstructionSet const* set;
  mirnet::Image input;
  Metadata metadata;
  mirnet::SampleType read, stored;
  std::optional<Reference> reference;
};

mirnet::Result<Job> prepare(Options const& options) {
  auto const set = choose_instruction_set(options.isa);
  if (!set) return set.error();
  if (options.precision == "bf16" && (*set)->bfloat16_kernels == nullptr) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument, "--precision bf16: there are no such kernels for %s",
                         (*set)->name);
  }
  auto const format = mirnet::output_format(options.output.c_str());
  if (!format) return format.error();
  auto picture = read_picture(options.input);
  if (!picture) return picture.error();
  auto& input = picture->image;
  auto const read = input.type();
  auto const stored = stored_samples(*format, read, options.stored);
  if (!stored) return stored.error();
  auto const encodable = mirnet::check_encodable(input, *format, options.output.c_str());
  if (!encodable) return encodable.error();
  auto const writable = [&] {
    Uninterrupted const probing;
    return mirnet::check_writable(options.output.c_str(), options.stored.overwrite);
  }();
  if (!writable) return writable.error();
  std::optional<Reference> reference;
  if (options.reference) {
    auto found = read_reference(options, input);
    if (!found) return found.error();
    reference = *std::move(found);
  }
  if (mirnet::sample_bytes(*stored) > mirnet::sample_bytes(read)) {
    // The file gets what the network computes, not 8 or 16 bits of it.
    auto deeper = mirnet::convert_samples(input, *stored);
    if (!deeper) return deeper.error();
    input = *std::move(deeper);
  }
  return Job{*set, std::move(input), std::move(picture->metadata), read, *stored, std::move(reference)};
}

struct Run {
  double seconds;
  mirnet::Index threads;
  mirnet::Tiling tiling;
};

void print(Options const& options, Job const& job, Run const& run) {
  auto const& image = job.input;
  static constexpr char const* depths[] = {"8 bits", "16 bits", "32-bit floats"};
  auto const depth = [](mirnet::SampleType type) { return depths[static_cast<int>(type)]; };
  std::printf("size              %lld x %lld, %lld channel%s of %s\n", static_cast<long long>(image.width()),
              static_cast<long long>(image.height()), static_cast<long long>(image.channels()),
              image.channels() == 1 ? "" : "s", depth(job.read));
  std::printf("time              %.3f s, %.3f megapixels/s\n", run.seconds,
              static_cast<double>(image.pixels()) * 1e-6 / run.seconds);
  if (run.tiling.tiles() > 1) {
    std::printf("tiles             %lld x %lld of %lld x %lld\n", static_cast<long long>(run.tiling.x.count()),
                static_cast<long long>(run.tiling.y.count()), static_cast<long long>(run.tiling.x.length()),
                static_cast<long long>(run.tiling.y.length()));
  }
  if (auto const peak = peak_memory()) std::printf("peak memory       %.1f MiB\n", *peak / (1 << 20));
  std::printf("instruction set   %s\n", job.set->name);
  std::printf("threads           %lld\n", static_cast<long long>(run.threads));
  if (options.weights.quality != "standard") {
    std::printf("quality           %s\n", options.weights.quality.c_str());
  }
  if (options.algorithm == "direct") std::printf("algorithm         direct\n");
  if (options.precision == "bf16") std::printf("precision         bf16\n");
  if (mirnet::sample_bytes(job.stored) < mirnet::sample_bytes(job.read)) {
    std::printf("note              %s holds %s: the samples were rounded\n", options.output.c_str(), depth(job.stored));
  }
}

void print(Likeness const& before, Likeness const& after) {
  std::printf("PSNR              %s dB before, %s dB after\n", text(before.psnr, 2).c_str(),
              text(after.psnr, 2).c_str());
  std::printf("SSIM              %s before, %s after\n", text(before.ssim, 4).c_str(), text(after.ssim, 4).c_str());
}

ProgressStyle progress_style(Options const& options) {
  if (options.quiet || options.progress == "none") return ProgressStyle::none;
  if (options.progress == "json") return ProgressStyle::json;
  return options.progress == "bar" ? ProgressStyle::bar : automatic_progress();
}

/// mirnet::restore with its progress on the screen.
template <class T>
mirnet::Result<mirnet::Image> restore(Options const& options, mirnet::Model<T> const& model, mirnet::Image const& image,
                                      mirnet::Context<T>& context, mirnet::Tiling const& tiling) {
  ProgressDisplay display(progress_style(options), options.input, static_cast<double>(image.pixels()) * 1e-6,
                          tiling.macs());
  context.progress = {
      [](void* self, std::uint64_t macs) noexcept { static_cast<ProgressDisplay*>(self)->update(macs); }, &display};
  return mirnet::restore(model, image, context, tiling,
                         {options.strength * (1.0f - options.keep_grain), options.strength});
}

template <class T>
mirnet::Result<void> denoise_in(Options const& options, Job const& job) {
  auto const file = find_weights(options.weights);
  if (!file) return file.error();
  auto const model = load_weights<T>(*file);
  if (!model) return model.error();
  mirnet::ThreadPool pool(options.threads > 0 ? options.threads : usable_cores());
  mirnet::Context<T> context(*job.set->kernels_of<T>(), pool);
  context.algorithm = options.algorithm == "direct" ? mirnet::Algorithm::direct : mirnet::Algorithm::automatic;
  auto const tiling = plan(options, *model, context, job.input);
  if (!tiling) return tiling.error();
  auto const start = std::chrono::steady_clock::now();
  auto const restored = restore(options, *model, job.input, context, *tiling);
  std::chrono::duration<double> const time = std::chrono::steady_clock::now() - start;
  if (!restored) return restored.error();
  auto const written = [&] {
    Uninterrupted const writing;
    return write_picture(options.output, *restored, job.metadata, options.stored);
  }();
  if (!written || options.quiet) return written;

  print(options, job, Run{time.count(), pool.workers(), *tiling});
  if (!job.reference) return {};
  auto const after = compare_images(*restored, options.output, job.reference->image, *options.reference);
  if (!after) return after.error();
  print(job.reference->before, *after);
  return {};
}

mirnet::Result<void> denoise(Options& options) {
  if (options.max_memory) {
    auto const limit = parse_bytes(*options.max_memory);
    if (!limit) return limit.error();
    options.memory_limit = *limit;
  }
  if (options.tile != "auto" && options.tile != "off") {
    auto const side = parse_tile(options.tile);
    if (!side) return side.error();
    options.tile_side = *side;
  }
  auto const job = prepare(options);
  if (!job) return job.error();
  return options.precision == "bf16" ? denoise_in<mirnet::bfloat16>(options, *job) : denoise_in<float>(options, *job);
}

}  // namespace

void add_denoise(CLI::App& program, Action& action) {
  auto const options = std::make_shared<Options>();
  auto* const command = program.add_subcommand("denoise", "Remove the noise from a photograph");
  command->add_option("INPUT", options->input, "The photograph: PNG, JPEG, BMP, TGA, PGM, PPM or PFM")->required();
  command->add_option("OUTPUT", options->output, "The result: .png, .jpg, .bmp, .pgm, .ppm, .pnm or .pfm")->required();
  auto* const file =
      command->add_option("--weights", options->weights.file, "A weight file; without it, the weights of --quality");
  file->type_name("FILE.mirw");
  add_quality(*command, *file, options->weights);
  command
      ->add_option("--threads", options->threads,
                   "Threads to use, 1 to 1024; without it, one for each core that this process may use")
      ->check(CLI::Range(mirnet::Index{1}, mirnet::Index{1024}))
      ->type_name("N");
  command->add_option("--isa", options->isa, "Instruction set to use: " + instruction_set_names(false))
      ->type_name("NAME");
  command
      ->add_option("--precision", options->precision,
                   "What weights and intermediate results are stored as: bf16 takes half of the memory")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->type_name("NAME");
  command
      ->add_option("--algorithm", options->algorithm,
                   "How to convolve: direct multiplies more than auto, and rounds a little less")
      ->check(CLI::IsMember({"auto", "direct"}))
      ->type_name("NAME");
  command->add_option("--reference", options->reference, "The same photograph without noise: print PSNR and SSIM")
      ->type_name("CLEAN");
  command
      ->add_option("--max-memory", options->max_memory,
                   "Take no more memory than this, as in 500M or 2G; without it, three quarters of what is free")
      ->type_name("SIZE");
  command
      ->add_option("--tile", options->tile,
                   "auto: in tiles only where a picture takes too much memory; off: never; N: in tiles of at most\n"
                   "N x N pixels. Tiles overlap and fade into each other, and look a little different from the whole")
      ->type_name("auto|off|N");
  command
      ->add_option("--progress", options->progress,
                   "On the standard error: bar, lines of json, none, or auto, a bar where that is a terminal")
      ->check(CLI::IsMember({"auto", "bar", "json", "none"}))
      ->type_name("NAME");
  command
      ->add_option("--strength", options->strength,
                   "How much of the noise is taken away, 0 to 1: 0 leaves the photograph as it is")
      ->check(CLI::Range(0.0f, 1.0f))
      ->type_name("X")
      ->capture_default_str();
  command
      ->add_option("--keep-grain", options->keep_grain,
                   "How much of the noise in the brightness stays, 0 to 1; that in the colours goes all the same")
      ->check(CLI::Range(0.0f, 1.0f))
      ->type_name("X")
      ->capture_default_str();
  command
      ->add_option("--quality-jpeg", options->stored.jpeg_quality,
                   "Of a JPEG that is written, 1 to 100; from 90 on with colours in full resolution")
      ->check(CLI::Range(1, 100))
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--depth", options->stored.depth,
                   "Bits a sample of the result; without it, as many as the input has")
      ->check(CLI::IsMember({8, 16}))
      ->type_name("8|16");
  command->add_flag("--overwrite", options->stored.overwrite, "Replace OUTPUT if it exists");
  command->add_flag("--quiet", options->quiet, "Print nothing but errors");
  command->callback([=, &action] { action = [=] { return denoise(*options); }; });
}

}  // namespace cli
