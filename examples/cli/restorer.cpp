#include "restorer.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "machine.hpp"
#include "memory_limit.hpp"
#include "picture.hpp"
#include "progress.hpp"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

}  // namespace

template <class T>
Restorer<T>::Restorer(RestoreOptions const& options, mirnet::KernelSet const& set,
                      mirnet::Model<mirnet::Mirnet<T>> const& model, mirnet::ThreadPool& pool, std::string mark)
    : options_(options), model_(model), context_(*set.kernels_of<T>(), pool), mark_(std::move(mark)) {
  context_.algorithm = options.computing.chosen_algorithm();
}

template <class T>
mirnet::Result<void> Restorer<T>::restore(Work const& work, BatchClock& clock, Report& report) {
  auto begin = Clock::now();
  auto job = prepare(options_, work, mark_, report);
  if (!job) return job.error();
  report.seconds.read = seconds_since(begin);
  if (!options_.quiet) print_warnings(work.input, report.warnings);

  begin = Clock::now();
  auto const tiling = plan(*job);
  if (!tiling) return tiling.error();
  report.tiling = *tiling;
  report.seconds.plan = seconds_since(begin);
  if (options_.estimate) return estimate(*job, report);

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
  auto const done = run(work, converted ? converted->seen : job->input, *tiling, *writer, clock);
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

/// The tiles, with all bytes that are taken at a time. Refuses a picture for which the memory is not there or not
/// allowed: the system would promise it all the same, and end the program when it is used.
template <class T>
auto Restorer<T>::plan(Job const& job) const -> mirnet::Result<Tiling> {
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
    auto const remedy = *side > 0 ? "use --tile " + std::to_string(*side)
                                  : std::string("even the smallest tiles need more; use a larger --max-memory");
    return too_little_memory({image.width(), image.height()}, needed, options_.reading.memory_limit, remedy);
  }
  tiling->bytes = static_cast<mirnet::Index>(needed);
  return tiling;
}

/// The time that it would take, from that of a tile for each thread, which is restored here.
template <class T>
mirnet::Result<void> Restorer<T>::estimate(Job const& job, Report& report) {
  if (seconds_a_mac_ == 0) {
    auto const length = std::max(report.tiling->x.length(), report.tiling->y.length());
    auto const longest = std::max(length, mirnet::shortest_tile);
    auto const time = [&](mirnet::Index width, mirnet::Index height) -> mirnet::Result<double> {
      auto const sample = sample_picture(width, height);
      if (!sample) return sample.error();
      auto const tiling = mirnet::plan_tiles(model_, context_, *sample, longest);
      if (!tiling) return tiling.error();
      auto const begin = Clock::now();
      auto const restored = mirnet::restore(model_, *sample, context_, *tiling);
      if (!restored) return restored.error();
      return seconds_since(begin) / static_cast<double>(tiling->macs());
    };
    auto const ready = time(128, 128);  // the processor takes some time to reach its speed
    if (!ready) return ready.error();
    auto const timed = time(std::min(job.input.width(), length * threads()), std::min(job.input.height(), length));
    if (!timed) return timed.error();
    seconds_a_mac_ = *timed;
  }
  report.estimated_seconds = seconds_a_mac_ * static_cast<double>(report.tiling->macs());
  report.state = Report::State::estimated;
  return {};
}

/// The computation, with its progress on the screen.
template <class T>
mirnet::Result<void> Restorer<T>::run(Work const& work, mirnet::Image const& image, Tiling const& tiling,
                                      PictureWriter& writer, BatchClock& clock) {
  ProgressDisplay display(options_.style(), work.input, static_cast<double>(image.pixels()) * 1e-6, tiling.macs(),
                          clock);
  context_.macs = 0;
  context_.progress = {
      [](void* self, std::uint64_t macs) noexcept { static_cast<ProgressDisplay*>(self)->update(macs); }, &display};
  auto const write = [&](mirnet::Index first_row, mirnet::View<float const> rows) {
    return writer.append(first_row, rows, context_.parallel);
  };
  auto const done = mirnet::restore_rows(model_, image, context_, tiling,
                                         {options_.strength * (1.0f - options_.keep_grain), options_.strength}, write);
  context_.progress = {};
  return done;
}

template <class T>
mirnet::Result<void> Restorer<T>::compare(Work const& work, mirnet::Image const& restored, Reference const& reference,
                                          Report& report) const {
  auto const after = compare_images(restored, work.output, reference.image, *options_.reference);
  if (!after) return after.error();
  report.before = reference.before;
  report.after = *after;
  if (!options_.min_psnr || after->psnr >= *options_.min_psnr) return {};
  return mirnet::Error(mirnet::ErrorCode::unmet, "%s: a PSNR of %s dB; expected --min-psnr %s dB or more",
                       work.output.c_str(), text(after->psnr, 2).c_str(), text(*options_.min_psnr, 2).c_str());
}

template class Restorer<float>;
template class Restorer<mirnet::bfloat16>;

}  // namespace cli
