#include "restorer.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "machine.hpp"
#include "memory_limit.hpp"
#include "photograph_noise.hpp"
#include "picture.hpp"
#include "preview.hpp"
#include "progress.hpp"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

}  // namespace

Restorer::Restorer(RestoreOptions const& options, Engine& engine, mirnet::ThreadPool& pool, std::string mark,
                   ComparisonPage& page)
    : options_(options), engine_(engine), parallel_(pool), mark_(std::move(mark)), page_(page) {}

mirnet::Result<void> Restorer::restore(Work const& work, BatchClock& clock, Report& report) {
  auto begin = Clock::now();
  auto job = prepare(options_, work, mark_, parallel_, report);
  if (!job) return job.error();
  report.seconds.read = seconds_since(begin);
  if (!options_.quiet) print_warnings(work.input, report.warnings);

  if (auto const measured = measure(*job, report); !measured) return measured;
  if (options_.preview) return preview(work, *job, clock, report);

  begin = Clock::now();
  auto const tiling = plan(job->input, *job);
  if (!tiling) return tiling.error();
  report.tiling = *tiling;
  report.seconds.plan = seconds_since(begin);
  if (options_.estimate) return estimate(*job, report);

  begin = Clock::now();
  auto const* const right = job->right ? &job->right->image : nullptr;
  auto writer = run(work.input, job->input, right, *job, *tiling, job->metadata, report.strength, clock);
  if (!writer) return writer.error();
  report.seconds.run = seconds_since(begin);

  begin = Clock::now();
  auto const written = writer->finish(work.output);
  if (!written) return written;
  report.seconds.write = seconds_since(begin);
  report.state = Report::State::restored;
  if (options_.page) {
    auto const shown = add_to_page(work, *job, writer->image(), clock.count() == 1, report);
    if (!shown) return shown;
  }
  if (!job->reference) return {};
  return compare(work, writer->image(), *job->reference, report);
}

/// The noise, where somebody wants to know it, and the strength.
mirnet::Result<void> Restorer::measure(Job const& job, Report& report) {
  report.strength = options_.strength.value_or(1);
  if (options_.strength && !options_.page) return {};
  auto const noise = noise_of(job.before(), job.conversion.get(), parallel_);
  if (!noise) return noise.error();
  report.noise = *noise;
  if (!options_.strength) report.strength = automatic_strength(*noise);
  return {};
}

/// The tiles, with all bytes that are taken at a time. Refuses a picture for which the memory is not there or not
/// allowed: the system would promise it all the same, and end the program when it is used.
mirnet::Result<Tiling> Restorer::plan(mirnet::Image const& image, Job const& job) const {
  double const budget = options_.reading.memory();
  // Instead of the whole result, which the library counts.
  auto const beside = [&](mirnet::Index band_rows) {
    auto const pixels = static_cast<double>(image.pixels());
    double seen = job.conversion ? sizeof(float) * pixels * static_cast<double>(image.channels()) : 0;
    if (job.right && job.right->conversion) {
      seen += sizeof(float) * pixels * static_cast<double>(job.right->image.channels());
    }
    return seen + PictureWriter::most_bytes(image, job.format, band_rows) - static_cast<double>(image.bytes().size());
  };
  constexpr auto most = static_cast<double>((std::numeric_limits<mirnet::Index>::max)() / 2);
  constexpr double slack = 1 << 20;  // the next run may hold a little more before it plans
  auto const left = static_cast<mirnet::Index>(std::clamp(budget - slack - beside(longest_tile()), 0.0, most));
  auto tiling = options_.tile == "off" ? engine_.plan_whole(image) : engine_.plan_tiles(image, longest_tile(), left);
  if (!tiling) return tiling;
  double const needed = static_cast<double>(tiling->bytes) + beside(tiling->y.length());
  if (needed > budget) {
    auto const side = engine_.longest_tile_within(image, left, longest_tile());
    if (!side) return side.error();
    auto const remedy = *side > 0 ? "use --tile " + std::to_string(*side)
                                  : std::string("even the smallest tiles need more; use a larger --max-memory");
    return too_little_memory({image.width(), image.height()}, needed, options_.reading.memory_limit, remedy);
  }
  tiling->bytes = static_cast<mirnet::Index>(needed);
  return tiling;
}

/// The time that it would take, from that of a tile for each thread, which is restored here.
mirnet::Result<void> Restorer::estimate(Job const& job, Report& report) {
  if (seconds_a_mac_ == 0) {
    auto const length = std::max(report.tiling->x.length(), report.tiling->y.length());
    auto const longest = std::max(length, mirnet::shortest_tile);
    auto const time = [&](mirnet::Index width, mirnet::Index height) -> mirnet::Result<double> {
      auto const sample = sample_picture(width, height);
      if (!sample) return sample.error();
      auto const tiling = engine_.plan_tiles(*sample, longest);
      if (!tiling) return tiling.error();
      auto const begin = Clock::now();
      auto const leave = [](mirnet::Index, mirnet::View<float const>) { return mirnet::Result<void>(); };
      mirnet::Views const views(*sample, job.right ? &*sample : nullptr);
      auto const restored = engine_.restore_rows(views, *tiling, {}, {}, leave);
      if (!restored) return restored.error();
      return seconds_since(begin) / static_cast<double>(tiling->macs());
    };
    auto const ready = time(128, 128);  // the processor takes some time to reach its speed
    if (!ready) return ready.error();
    auto const timed =
        time(std::min(job.input.width(), length * parallel_.workers), std::min(job.input.height(), length));
    if (!timed) return timed.error();
    seconds_a_mac_ = *timed;
  }
  report.estimated_seconds = seconds_a_mac_ * static_cast<double>(report.tiling->macs());
  report.state = Report::State::estimated;
  return {};
}

/// The computation on the views, the job's or a part of them, with its progress on the screen. The writer has all rows.
mirnet::Result<PictureWriter> Restorer::run(std::string const& name, mirnet::Image const& image,
                                            mirnet::Image const* right, Job const& job, Tiling const& tiling,
                                            Metadata const& metadata, float strength, BatchClock const& clock) {
  mirnet::Views views(image, right);
  std::optional<mirnet::Image> right_seen;
  if (right != nullptr && job.right->conversion) {
    auto seen = seen_by_network(*right, *job.right->conversion, parallel_);
    if (!seen) return seen.error();
    right_seen = *std::move(seen);
    views.right = *right_seen;
  }
  std::optional<Converted> converted;
  if (job.conversion) {
    auto made = Converted::make(image, job.conversion, parallel_);
    if (!made) return made.error();
    converted = *std::move(made);
    views.left = converted->seen;
  }
  auto writer = PictureWriter::start(image, job.format, options_.stored, metadata, converted ? &*converted : nullptr);
  if (!writer) return writer;
  ProgressDisplay display(options_.style(), name, static_cast<double>(image.pixels()) * 1e-6, tiling.macs(), clock);
  mirnet::Progress const progress{
      [](void* self, std::uint64_t macs) noexcept { static_cast<ProgressDisplay*>(self)->update(macs); }, &display};
  auto const write = [&](mirnet::Index first_row, mirnet::View<float const> rows) {
    return writer->append(first_row, rows, parallel_);
  };
  auto const done =
      engine_.restore_rows(views, tiling, {strength * (1.0f - options_.keep_grain), strength}, progress, write);
  if (!done) return done.error();
  if (auto const completed = writer->complete(parallel_); !completed) return completed.error();
  return writer;
}

namespace {

/// Four crops of a photograph, and less than half of a small one in each.
std::vector<Rectangle> crops_of(mirnet::Image const& image) {
  auto const side = std::clamp<mirnet::Index>(std::min(image.width(), image.height()) / 2, 128, 512);
  return telling_crops(image, 4, side);
}

std::string settings_text(RestoreOptions const& options, Report const& report) {
  auto settings = "model " + name_of(options.weights);
  auto const add = [&](char const* name, float value) {
    settings += format(", %s %.2g", name, static_cast<double>(value));
  };
  if (!options.strength || *options.strength < 1)
    add(options.strength ? "strength" : "strength auto:", report.strength);
  if (options.keep_grain > 0) add("keep grain", options.keep_grain);
  if (options.hot_pixels) settings += format(", %lld hot pixels removed", static_cast<long long>(report.hot_pixels));
  if (options.sharpen > 0) add("sharpen", options.sharpen);
  return settings;
}

ComparisonFacts facts_of(RestoreOptions const& options, Job const& job, Report const& report) {
  return {{"size", format("%lld x %lld", static_cast<long long>(report.width), static_cast<long long>(report.height))},
          {"noise", report.noise ? noise_text(*report.noise, job.input.colours() == 3) : "not measured"},
          {"settings", settings_text(options, report)},
          {options.preview ? "time for these crops" : "time", duration_text(report.seconds.run)}};
}

}  // namespace

/// Restores crops with some of what is around them, as the network sees it there in the whole picture.
mirnet::Result<void> Restorer::preview(Work const& work, Job const& job, BatchClock const& clock, Report& report) {
  constexpr mirnet::Index large = 1'500'000;  // pixels, of which all take longer than the crops
  auto const margin = job.input.pixels() < large ? std::max(job.input.width(), job.input.height()) : 64;
  auto const begin = Clock::now();
  auto const parts = crops_of(job.input);
  std::vector<Comparison> shown;
  std::optional<PictureWriter> writer;
  Rectangle around;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto const& part = parts[i];
    auto const left = std::max<mirnet::Index>(part.x - margin, 0), top = std::max<mirnet::Index>(part.y - margin, 0);
    Rectangle const wanted{left, top, std::min(part.x + part.width + margin, job.input.width()) - left,
                           std::min(part.y + part.height + margin, job.input.height()) - top};
    if (!writer || wanted != around) {
      around = wanted;
      auto const image = crop(job.input, around);
      if (!image) return image.error();
      auto const right = job.right ? crop(job.right->image, around) : mirnet::Result<mirnet::Image>(mirnet::Image());
      if (!right) return right.error();
      auto const tiling = plan(*image, job);
      if (!tiling) return tiling.error();
      report.tiling = *tiling;
      bool const whole = job.input.pixels() < large;
      auto const name = work.input + (whole ? "" : format(", crop %zu of %zu", i + 1, parts.size()));
      auto made = run(name, *image, job.right ? &*right : nullptr, job, *tiling, {}, report.strength, clock);
      if (!made) return made.error();
      writer = *std::move(made);
    }
    auto before = crop(job.before(), part);
    if (!before) return before.error();
    auto after = crop(writer->image(), {part.x - left, part.y - top, part.width, part.height});
    if (!after) return after.error();
    shown.push_back({text(part), *std::move(before), *std::move(after)});
  }
  report.seconds.run = seconds_since(begin);
  report.crops = parts.size();
  report.state = Report::State::previewed;
  auto const added = page_.add(work.input, shown, facts_of(options_, job, report), job.metadata);
  report.seconds.run = seconds_since(begin);
  return added;
}

/// Shows a picture as a whole, or its most telling crops.
mirnet::Result<void> Restorer::add_to_page(Work const& work, Job const& job, mirnet::Image const& restored, bool whole,
                                           Report const& report) {
  auto const parts = whole ? std::vector<Rectangle>{{0, 0, restored.width(), restored.height()}} : crops_of(job.input);
  std::vector<Comparison> shown;
  for (auto const& part : parts) {
    auto before = crop(job.before(), part);
    if (!before) return before.error();
    auto after = crop(restored, part);
    if (!after) return after.error();
    shown.push_back({whole ? "the whole picture" : text(part), *std::move(before), *std::move(after)});
  }
  return page_.add(work.input, shown, facts_of(options_, job, report), job.metadata);
}

mirnet::Result<void> Restorer::compare(Work const& work, mirnet::Image const& restored, Reference const& reference,
                                       Report& report) const {
  auto const after = compare_images(restored, work.output, reference.image, *options_.reference);
  if (!after) return after.error();
  report.before = reference.before;
  report.after = *after;
  if (!options_.min_psnr || after->psnr >= *options_.min_psnr) return {};
  return mirnet::Error(mirnet::ErrorCode::unmet, "%s: a PSNR of %s dB; expected --min-psnr %s dB or more",
                       work.output.c_str(), text(after->psnr, 2).c_str(), text(*options_.min_psnr, 2).c_str());
}

}  // namespace cli
