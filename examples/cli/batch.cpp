#include "batch.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include <mirnet/io/file.hpp>

#include "batch_clock.hpp"
#include "comparison_page.hpp"
#include "machine.hpp"
#include "progress.hpp"
#include "restorer.hpp"
#include "result_mark.hpp"
#include "system.hpp"

namespace cli {
namespace {

/// Prints what became of a picture. Reports go to the standard output, unless pictures do.
void print(RestoreOptions const& options, Settings const& settings, Report const& report) {
  std::FILE* const to = report.output == standard_stream ? stderr : stdout;
  if (options.json) {
    std::fputs(json_text(report, settings).c_str(), to);
  } else if (options.reports && report.state != Report::State::failed) {
    bool const computed = report.state == Report::State::restored || report.state == Report::State::estimated;
    std::fputs((options.verbose && computed ? long_text(report, settings) : short_text(report)).c_str(), to);
  }
  std::fflush(to);
}

double file_size(std::string const& path) {
  std::error_code unknown;
  auto const size = std::filesystem::file_size(path_of(path), unknown);
  return unknown ? 0 : static_cast<double>(size);
}

/// Whether the page may take the place of a file. People try a preview again with other settings: it replaces an
/// earlier page.
bool replaces_page(RestoreOptions const& options) {
  return options.stored.overwrite || (options.preview && is_own_page(*options.page));
}

/// Writes the page, and tells where it is, on the standard error where a picture goes to the standard output.
mirnet::Result<void> save(ComparisonPage const& page, RestoreOptions const& options, WorkList const& all) {
  auto const html = page.html();
  Uninterrupted const writing;
  auto const bytes = std::as_bytes(std::span<char const>(html));
  auto const written = mirnet::write_file(options.page->c_str(), bytes, replaces_page(options));
  if (written && options.reports && !options.json) {
    bool const streams = all.pictures.size() == 1 && all.pictures.front().output == standard_stream;
    std::fprintf(streams ? stderr : stdout, "before and after: %s\n", options.page->c_str());
  }
  return written;
}

/// A right view belongs to one picture.
mirnet::Result<void> check_views(RestoreOptions const& options, WorkList const& all) {
  if (!options.right) return {};
  auto const& pictures = all.pictures;
  if (pictures.size() != 1 || !all.unreadable.empty()) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                         "--right: goes with one picture, its left view; found %zu", pictures.size());
  }
  if (pictures.front().input == standard_stream && *options.right == standard_stream) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                         "--right: both views are to come from the standard input; expected one of them");
  }
  std::error_code missing;
  if (std::filesystem::equivalent(path_of(*options.right), path_of(pictures.front().output), missing)) {
    return mirnet::Error(mirnet::ErrorCode::output, "%s: is the right view, and would be replaced by the result",
                         pictures.front().output.c_str());
  }
  return {};
}

/// With several pictures, existing results are an error before the first one is computed.
mirnet::Result<void> check_existing(RestoreOptions const& options, WorkList const& all) {
  bool const may_exist = options.skip_existing || options.stored.overwrite || options.estimate || options.preview;
  if (may_exist || all.pictures.size() < 2) return {};
  auto const existing = [](Work const& work) { return exists(work.output); };
  auto const count = std::count_if(all.pictures.begin(), all.pictures.end(), existing);
  if (count == 0) return {};
  auto const first = std::find_if(all.pictures.begin(), all.pictures.end(), existing);
  return mirnet::Error(mirnet::ErrorCode::output,
                       "%lld of %zu results already exist, such as %s; use --skip-existing or --overwrite",
                       static_cast<long long>(count), all.pictures.size(), first->output.c_str());
}

mirnet::Result<void> restore_work(RestoreOptions const& options, Task const& task, Kernels const& kernels,
                                  WorkList const& all) {
  auto const file = find_weights(options.weights);
  if (!file) return file.error();
  mirnet::ThreadPool pool(options.threads > 0 ? options.threads : usable_cores());
  auto const engine = load_engine(*file, kernels, options.computing.chosen_algorithm(), pool);
  if (!engine) return engine.error();
  auto const& facts = (*engine)->facts();
  auto const model = name_of(options.weights), checksum = weights_checksum(*file);
  if (auto const taken = (*engine)->check_pictures(options.right ? 2 : 1); !taken) return taken;
  if (!options.strength && facts.task == mirnet::Task::defocus) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                         "--strength auto: measures noise, and the weights are for defocus; expected a number");
  }
  ComparisonPage page;
  Restorer restorer(options, **engine, pool, result_mark(task.verb, model, checksum), page);
  Settings const settings{facts.isa, kernels.precision(), options.computing.algorithm, facts.network, model,
                          checksum,  facts.threads};
  bool const many = all.pictures.size() + all.unreadable.size() > 1;
  for (auto const& [folder, why] : all.unreadable) {
    Report report;
    report.input = folder;
    report.error = why;
    print(options, settings, report);
    print_error(why.message());
  }
  auto const is_skipped = [&](Work const& work) { return options.skip_existing && exists(work.output); };
  std::vector<double> sizes;
  for (auto const& work : all.pictures) {
    if (!is_skipped(work)) sizes.push_back(file_size(work.input));
  }
  BatchClock clock(std::move(sizes));
  say_how_to_go_on(clock.count() > 1 && !options.preview && !options.estimate);
  auto const begin = BatchClock::Clock::now();
  Counts counts;
  mirnet::Result<void> alone;  // of the only picture
  auto const* const verb = options.estimate ? "estimated" : options.preview ? "previewed" : "restored";
  for (auto const& work : all.pictures) {
    Report report;
    report.input = work.input;
    report.output = work.output;
    report.right = options.right;
    mirnet::Result<void> done;
    if (is_skipped(work)) {
      report.state = Report::State::skipped;
      ++counts.skipped;
    } else {
      clock.next();
      done = restorer.restore(work, clock, report);
      ++(done ? counts.done : counts.failed);
      if (done && options.estimate) {
        counts.seconds += *report.estimated_seconds;
        counts.bytes = std::max(counts.bytes, memory_of(report));
      }
    }
    if (!done) report.error = done.error();
    print(options, settings, report);
    if (done) continue;
    if (!many) {
      alone = done;
      break;
    }
    print_error(done.error().message());
  }
  if (!options.estimate) counts.seconds = std::chrono::duration<double>(BatchClock::Clock::now() - begin).count();
  bool const left_out = all.results + all.subfolders > 0;
  if ((many || left_out) && (options.json || options.reports)) {
    std::fputs((options.json ? summary_json : summary_text)(counts, all, verb).c_str(), stdout);
  }
  if (options.page && page.pictures() > 0) {
    if (auto const saved = save(page, options, all); !saved) return saved;
  }
  if (!alone) return alone;
  auto const folders = all.unreadable.size();
  if (counts.failed == 0 && folders == 0) return {};
  auto const unread =
      folders == 0 ? std::string() : format(", %zu folder%s not read", folders, folders == 1 ? "" : "s");
  return mirnet::Error(mirnet::ErrorCode::partial, "%zu of %zu pictures failed%s", counts.failed, all.pictures.size(),
                       unread.c_str());
}

}  // namespace

mirnet::Result<void> restore_all(RestoreOptions const& options, Task const& task) {
  auto const kernels = choose_kernels(options.computing);
  if (!kernels) return kernels.error();
  auto const work = list_work(options.files);
  if (!work) return work.error();
  if (auto const checked = check_views(options, *work); !checked) return checked;
  if (!options.estimate) {
    if (auto const checked = check_output_folders(*work); !checked) return checked;
  }
  if (auto const checked = check_existing(options, *work); !checked) return checked;
  if (options.page) {
    if (auto const checked = check_writable(*options.page, replaces_page(options)); !checked) return checked;
  }
  return restore_work(options, task, *kernels, *work);
}

}  // namespace cli
