// mirnet denoise: noisy photographs in, clean ones out. Whatever can go wrong before the long computation of a picture
// is found before it.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <mirnet/image/restore.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "commands.hpp"
#include "computing.hpp"
#include "files.hpp"
#include "machine.hpp"
#include "memory_limit.hpp"
#include "picture.hpp"
#include "picture_writer.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "weights.hpp"

namespace cli {
namespace {

struct Options {
  FileOptions files;
  Reading reading;
  WeightsOptions weights;
  Computing computing;
  std::optional<std::string> reference, max_memory;
  std::optional<double> min_psnr;
  mirnet::Index threads = 0;
  std::string tile = "auto", progress = "auto";
  mirnet::Index tile_side = 0;
  float strength = 1.0f, keep_grain = 0.0f;
  PictureOptions stored;
  bool lossless = false, lossy = false;
  bool skip_existing = false, estimate = false, json = false, quiet = false;
  bool reports = true;  ///< for people, on the standard output: not where that is closed

  ProgressStyle style() const {
    if (quiet || progress == "none") return ProgressStyle::none;
    if (progress == "json") return ProgressStyle::json;
    return progress == "bar" ? ProgressStyle::bar : automatic_progress();
  }
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// The largest side of tiles that --tile names.
mirnet::Result<mirnet::Index> parse_tile(std::string const& text) {
  mirnet::Index side = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  if (error == std::errc() && end == text.data() + text.size() && side >= mirnet::shortest_tile) return side;
  return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                       "--tile: \"%s\" is none of auto, off and a number of pixels from %lld on", text.c_str(),
                       static_cast<long long>(mirnet::shortest_tile));
}

/// Options whose words are not numbers yet, and those that do not go together.
mirnet::Result<void> settle(Options& options) {
  if (options.max_memory) {
    auto const limit = parse_bytes(*options.max_memory);
    if (!limit) return limit.error();
    options.reading.memory_limit = *limit;
  }
  if (options.lossless || options.lossy) options.stored.lossless = options.lossless;
  if (options.tile != "auto" && options.tile != "off") {
    auto const side = parse_tile(options.tile);
    if (!side) return side.error();
    options.tile_side = *side;
  }
  for (auto const& [name, value] :
       {std::pair("--strength", options.strength), std::pair("--keep-grain", options.keep_grain)}) {
    if (value >= 0.0f && value <= 1.0f) continue;  // the command line's check lets NaN pass
    return mirnet::Error(mirnet::ErrorCode::invalid_argument, "%s: expected a number from 0 to 1", name);
  }
  if (options.min_psnr && !options.reference) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument, "--min-psnr needs a --reference to compare with");
  }
  auto const printable = check_standard_output();
  if (!printable && (options.json || options.estimate)) return printable;
  options.reports = printable.ok() && !options.quiet;
  return {};
}

struct Reference {
  mirnet::Image image;
  Likeness before;
};

mirnet::Result<Reference> read_reference(Options const& options, std::string const& name, mirnet::Image const& input) {
  auto picture = read_picture(*options.reference, options.reading);
  if (!picture) return picture.error();
  auto const before = compare_images(input, name, picture->image, *options.reference);
  if (!before) return before.error();
  return Reference{std::move(picture->image), *before};
}

/// A picture that is ready for the computation: whatever can go wrong with its files has been looked at.
struct Job {
  mirnet::Image input;
  Metadata metadata;
  ResultFormat format;
  std::optional<Reference> reference;
  std::unique_ptr<ColourConversion const> conversion;
};

mirnet::Result<Job> prepare(Options const& options, Work const& work, Report& report) {
  auto const named = output_format(work, options.files.format);
  if (!named) return named.error();
  auto picture = read_picture(work.input, options.reading);
  if (!picture) return picture.error();
  auto const format = named->value_or(traits(picture->format).result);
  auto& input = picture->image;
  report.width = input.width();
  report.height = input.height();
  report.channels = input.channels();
  report.read = input.type();
  auto const stored = stored_samples(format, input.type(), options.stored);
  if (!stored) return stored.error();
  report.stored = *stored;
  auto const encoding = encoding_for(format, *picture, options.stored);
  if (!encoding) return encoding.error();
  auto const encodable = check_encodable(ImageLayout::of(input), format, work.output.c_str());
  if (!encodable) return encodable.error();
  if (!options.estimate) {
    auto const writable = work.output == standard_stream ? check_standard_output()
                                                         : check_writable(work.output, options.stored.overwrite,
                                                                          options.files.output_folder.has_value());
    if (!writable) return writable.error();
  }
  std::optional<Reference> reference;
  if (options.reference) {
    auto found = read_reference(options, work.input, input);
    if (!found) return found.error();
    reference = *std::move(found);
  }
  if (mirnet::sample_bytes(*stored) > mirnet::sample_bytes(input.type())) {
    // The file gets what the network computes, not 8 or 16 bits of it.
    auto deeper = mirnet::convert_samples(input, *stored);
    if (!deeper) return deeper.error();
    input = *std::move(deeper);
  }
  auto metadata = what_fits(std::move(picture->metadata), format, input.colours(), picture->warnings);
  report.warnings = std::move(picture->warnings);
  ResultFormat const result{format, *stored, reference.has_value(), *encoding};
  return Job{std::move(input), std::move(metadata), result, std::move(reference), std::move(picture->conversion)};
}

/// One network on one machine, for any number of pictures.
template <class T>
class Session {
 public:
  Session(Options const& options, mirnet::KernelSet const& set, mirnet::Model<mirnet::Mirnet<T>> const& model,
          mirnet::ThreadPool& pool)
      : options_(options), model_(model), context_(*set.kernels_of<T>(), pool) {
    context_.algorithm = options.computing.chosen_algorithm();
  }

  char const* isa() const { return context_.kernels->isa; }
  mirnet::Index threads() const { return context_.parallel.workers; }

  /// Everything from the input file to the output file. `report` knows afterwards how far it came.
  mirnet::Result<void> restore(Work const& work, Report& report) {
    auto begin = Clock::now();
    auto job = prepare(options_, work, report);
    if (!job) return job.error();
    report.seconds.read = seconds_since(begin);
    if (!options_.quiet) print_warnings(work.input, report.warnings);

    begin = Clock::now();
    auto const tiling = plan(*job);
    if (!tiling) return tiling.error();
    report.tiling = *tiling;
    report.seconds.plan = seconds_since(begin);
    if (options_.estimate) return estimate(report);

    begin = Clock::now();
    std::optional<Converted> converted;
    if (job->conversion) {
      auto made = Converted::make(job->input, std::move(job->conversion), context_.parallel);
      if (!made) return made.error();
      converted = *std::move(made);
    }
    auto const* const other_colours = converted ? &*converted : nullptr;
    auto writer = PictureWriter::start(job->input, job->format, options_.stored, job->metadata, other_colours);
    if (!writer) return writer.error();
    auto const done = run(work, converted ? converted->seen : job->input, *tiling, *writer);
    if (!done) return done;
    report.seconds.run = seconds_since(begin);

    begin = Clock::now();
    auto const written = writer->finish(work.output);
    if (!written) return written;
    report.seconds.write = seconds_since(begin);
    report.state = Report::State::restored;
    if (!job->reference) return {};
    return compare(work, writer->image(), *job->reference, report);
  }

 private:
  using Tiling = mirnet::Tiling<mirnet::MirnetConfig>;

  /// The tiles, with all bytes that are taken at a time. Refuses a picture for which the memory is not there or not
  /// allowed: the system would promise it all the same, and end the program when it is used.
  mirnet::Result<Tiling> plan(Job const& job) const {
    mirnet::Image const& image = job.input;
    double const budget = options_.reading.memory();
    // Instead of the whole result, which the library counts.
    auto const beside = [&](mirnet::Index band_rows) {
      double const seen = job.conversion ? sizeof(float) * static_cast<double>(image.pixels() * image.channels()) : 0;
      return seen + PictureWriter::most_bytes(image, job.format, band_rows) - static_cast<double>(image.bytes().size());
    };
    constexpr auto most = static_cast<double>((std::numeric_limits<mirnet::Index>::max)() / 2);
    constexpr double slack = 1 << 20;  // the next run may hold a little more before it plans
    auto const left = static_cast<mirnet::Index>(std::clamp(budget - slack - beside(longest_tile()), 0.0, most));
    auto tiling = options_.tile == "off" ? mirnet::plan_whole(model_, context_, image)
                                         : mirnet::plan_tiles(model_, context_, image, longest_tile(), left);
    if (!tiling) return tiling;
    double const needed = static_cast<double>(tiling->bytes) + beside(tiling->y.length());
    if (needed > budget) {
      auto const side = mirnet::longest_tile_within(model_, context_, image, left, longest_tile());
      if (!side) return side.error();
      return too_little_memory(
          {image.width(), image.height()}, needed, budget, options_.reading.memory_limit,
          *side > 0 ? "--tile " + std::to_string(*side) + " fits" : std::string("not even the smallest tiles fit"));
    }
    tiling->bytes = static_cast<mirnet::Index>(needed);
    return tiling;
  }

  mirnet::Index longest_tile() const { return options_.tile_side > 0 ? options_.tile_side : mirnet::usual_tile; }

  /// The time that it would take, from that of a small picture that is restored here, once to get going and once for
  /// the clock.
  mirnet::Result<void> estimate(Report& report) {
    if (seconds_a_mac_ == 0) {
      auto const sample = sample_picture(256);
      if (!sample) return sample.error();
      auto const tiling = mirnet::plan_whole(model_, context_, *sample);
      if (!tiling) return tiling.error();
      for (int i = 0; i < 2; ++i) {
        auto const begin = Clock::now();
        auto const restored = mirnet::restore(model_, *sample, context_, *tiling);
        if (!restored) return restored.error();
        seconds_a_mac_ = seconds_since(begin) / static_cast<double>(tiling->macs());
      }
    }
    report.estimated_seconds = seconds_a_mac_ * static_cast<double>(report.tiling->macs());
    report.state = Report::State::estimated;
    return {};
  }

  /// The computation, with its progress on the screen.
  mirnet::Result<void> run(Work const& work, mirnet::Image const& image, Tiling const& tiling, PictureWriter& writer) {
    ProgressDisplay display(options_.style(), work.input, static_cast<double>(image.pixels()) * 1e-6, tiling.macs());
    context_.macs = 0;
    context_.progress = {
        [](void* self, std::uint64_t macs) noexcept { static_cast<ProgressDisplay*>(self)->update(macs); }, &display};
    auto const write = [&](mirnet::Index first_row, mirnet::View<float const> rows) {
      return writer.append(first_row, rows, context_.parallel);
    };
    auto const done = mirnet::restore_rows(
        model_, image, context_, tiling, {options_.strength * (1.0f - options_.keep_grain), options_.strength}, write);
    context_.progress = {};
    return done;
  }

  mirnet::Result<void> compare(Work const& work, mirnet::Image const& restored, Reference const& reference,
                               Report& report) const {
    auto const after = compare_images(restored, work.output, reference.image, *options_.reference);
    if (!after) return after.error();
    report.before = reference.before;
    report.after = *after;
    if (!options_.min_psnr || after->psnr >= *options_.min_psnr) return {};
    return mirnet::Error(mirnet::ErrorCode::unmet, "%s: a PSNR of %s dB; expected --min-psnr %s dB or more",
                         work.output.c_str(), text(after->psnr, 2).c_str(), text(*options_.min_psnr, 2).c_str());
  }

  Options const& options_;
  mirnet::Model<mirnet::Mirnet<T>> const& model_;
  mirnet::Context<T> context_;
  double seconds_a_mac_ = 0;
};

/// Prints what became of a picture. Reports go to the standard output, unless pictures do.
void print(Options const& options, Settings const& settings, Report const& report, bool many) {
  std::FILE* const to = report.output == standard_stream ? stderr : stdout;
  if (options.json) {
    std::fputs(json_text(report, settings).c_str(), to);
  } else if (options.reports && report.state != Report::State::failed) {
    std::fputs(
        (many || report.state == Report::State::skipped ? short_text(report) : long_text(report, settings)).c_str(),
        to);
  }
  std::fflush(to);
}

template <class T>
mirnet::Result<void> denoise_in(Options const& options, Kernels const& kernels, WorkList const& all) {
  auto const file = find_weights(options.weights);
  if (!file) return file.error();
  mirnet::ThreadPool pool(options.threads > 0 ? options.threads : usable_cores());
  auto const model = load_weights<T>(*file, pool);
  if (!model) return model.error();
  Session<T> session(options, *kernels.set, *model, pool);
  Settings const settings{session.isa(), kernels.precision(), options.computing.algorithm, options.weights.quality,
                          session.threads()};
  bool const many = all.pictures.size() + all.unreadable.size() > 1;
  std::size_t restored = 0, skipped = 0, failed = 0;
  for (auto const& [folder, why] : all.unreadable) {
    Report report;
    report.input = folder;
    report.error = why;
    print(options, settings, report, many);
    print_error(why.message());
  }
  for (auto const& work : all.pictures) {
    Report report;
    report.input = work.input;
    report.output = work.output;
    mirnet::Result<void> done;
    if (options.skip_existing && exists(work.output)) {
      report.state = Report::State::skipped;
      ++skipped;
    } else {
      done = session.restore(work, report);
      ++(done ? restored : failed);
    }
    if (!done) report.error = done.error();
    print(options, settings, report, many);
    if (done) continue;
    if (!many) return done;
    // One bad file does not stop the rest.
    print_error(done.error().message());
  }
  if (many && options.reports && !options.json) {
    std::printf("%zu %s, %zu skipped, %zu failed", restored, options.estimate ? "estimated" : "restored", skipped,
                failed);
    if (all.results > 0) std::printf("; %zu left out, which have the suffix of results", all.results);
    std::printf("\n");
  }
  auto const folders = all.unreadable.size();
  if (failed == 0 && folders == 0) return {};
  auto const unread =
      folders == 0 ? std::string() : format(", %zu folder%s not read", folders, folders == 1 ? "" : "s");
  return mirnet::Error(mirnet::ErrorCode::partial, "%zu of %zu pictures failed%s", failed, all.pictures.size(),
                       unread.c_str());
}

mirnet::Result<void> denoise(Options& options) {
  auto const settled = settle(options);
  if (!settled) return settled;
  auto const kernels = choose_kernels(options.computing);
  if (!kernels) return kernels.error();
  auto const work = list_work(options.files);
  if (!work) return work.error();
  return kernels->in_bfloat16 ? denoise_in<mirnet::bfloat16>(options, *kernels, *work)
                              : denoise_in<float>(options, *kernels, *work);
}

}  // namespace

void add_denoise(CLI::App& program, Action& action) {
  auto const options = std::make_shared<Options>();
  auto* const command = program.add_subcommand("denoise", "Remove the noise from photographs");
  command->footer("Example: mirnet denoise noisy.png clean.png");
  command
      ->add_option("FILES", options->files.files,
                   "INPUT OUTPUT. Or photographs and folders of them, with --output-dir or --suffix; one alone gets\n"
                   "-clean to its name. " +
                       readable_names() + "\nare read; " + writable_names() +
                       " are written, as the name says;\n- is the standard input or output")
      ->required()
      ->type_name("")
      // Any number, each as it is. CLI11 would take "[a,b]" for an array where it allows extra arguments.
      ->expected(CLI::detail::expected_max_vector_size, CLI::detail::expected_max_vector_size)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  auto* const file =
      command->add_option("--weights", options->weights.file, "A weight file; without it, the weights of --quality");
  file->type_name("FILE.mirw");
  add_quality(*command, *file, options->weights);
  add_reading(*command, options->reading);
  add_threads(*command, options->threads);
  add_computing(*command, options->computing);
  command->add_option("--reference", options->reference, "The same photograph without noise: print PSNR and SSIM")
      ->type_name("CLEAN");
  command
      ->add_option(
          "--max-memory", options->max_memory,
          "Refuse what takes more memory than this, as in 500M or 2G; without it, three quarters of what is free")
      ->type_name("SIZE");
  command
      ->add_option(
          "--tile", options->tile,
          "In overlapping tiles of at most N x N pixels that fade into each other; auto: 768; off: as a whole.\n"
          "The whole looks a little different, and takes much more memory")
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
      ->add_option(
          "--quality-jpeg", options->stored.encoding.quality,
          "Of a JPEG or a lossy WebP that is written, 1 to 100; a JPEG has colours in full resolution from 90 on")
      ->check(CLI::Range(1, 100))
      ->type_name("N")
      ->capture_default_str();
  auto* const lossless = command->add_flag(
      "--lossless", options->lossless,
      "Lose nothing in formats that have both, as WebP; without it, as the photograph if it has such a format");
  command->add_flag("--lossy", options->lossy, "The opposite: smaller files")->excludes(lossless);
  command
      ->add_option("--depth", options->stored.depth,
                   "Bits a sample of the result; without it, as many as the input has")
      ->check(CLI::IsMember({8, 16}))
      ->type_name("8|16");
  command->add_option("--min-psnr", options->min_psnr, "With --reference: fail (exit code 6) where it is less")
      ->type_name("DB");
  command
      ->add_option("--output-dir", options->files.output_folder,
                   "Results go into this folder, which is made if it is missing, under the names of the photographs")
      ->type_name("DIR");
  command
      ->add_option("--suffix", options->files.suffix,
                   "Goes to the names of results, before the extension; in folders, what has it is left out")
      ->type_name("TEXT");
  command
      ->add_option("--format", options->files.format,
                   "Of results that have no name yet; without it, that of the photograph")
      ->check(CLI::IsMember(writable_extensions()))
      ->type_name("NAME");
  command->add_flag("-r,--recursive", options->files.recursive, "Folders inside of folders, too");
  command->add_flag("--skip-existing", options->skip_existing, "Leave out photographs whose result exists");
  command->add_flag("--overwrite", options->stored.overwrite, "Replace results that exist");
  command->add_flag("--estimate", options->estimate, "Say what it would take, and write nothing");
  command->add_flag("--json", options->json, "Print a line of JSON for each photograph");
  command->add_flag("--quiet", options->quiet, "Print nothing but errors");
  for (auto const& [group, names] : std::initializer_list<std::pair<char const*, std::vector<char const*>>>{
           {"Results",
            {"--quality", "--weights", "--strength", "--keep-grain", "--quality-jpeg", "--lossless", "--lossy",
             "--depth"}},
           {"Files",
            {"--output-dir", "--suffix", "--format", "--recursive", "--skip-existing", "--overwrite", "--estimate",
             "--max-pixels", "--no-sandbox"}},
           {"Comparing", {"--reference", "--min-psnr"}},
           {"Memory and speed", {"--max-memory", "--tile", "--threads", "--isa", "--precision", "--algorithm"}},
           {"Messages", {"--progress", "--json", "--quiet"}}}) {
    for (auto const* name : names) command->get_option(name)->group(group);
  }
  command->callback([=, &action] { action = [=] { return denoise(*options); }; });
}

}  // namespace cli
