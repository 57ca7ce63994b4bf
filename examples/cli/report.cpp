#include "report.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

#include <mirnet/version.hpp>

#include "commands.hpp"
#include "json_name.hpp"
#include "machine.hpp"
#include "memory_limit.hpp"
#include "photograph_noise.hpp"
#include "progress.hpp"

namespace cli {
namespace {

long long number(mirnet::Index value) { return static_cast<long long>(value); }

int bits(mirnet::SampleType type) { return static_cast<int>(8 * mirnet::sample_bytes(type)); }

char const* depth(mirnet::SampleType type) {
  static constexpr char const* names[] = {"8 bits", "16 bits", "32-bit floats"};
  return names[static_cast<int>(type)];
}

std::string plan_text(Tiling const& tiling) {
  if (tiling.tiles() == 1) return "the whole picture at once";
  return format("%lld x %lld tiles of %lld x %lld", number(tiling.x.count()), number(tiling.y.count()),
                number(tiling.x.length()), number(tiling.y.length()));
}

char const* name(Report::State state) {
  static constexpr char const* names[] = {"restored", "estimated", "previewed", "skipped", "failed"};
  return names[static_cast<int>(state)];
}

}  // namespace

double memory_of(Report const& report) { return used_memory().value_or(0) + static_cast<double>(report.tiling->bytes); }

nlohmann::json figures(double before, double after) {
  // JSON has no infinity.
  auto const value = [](double x) { return std::isfinite(x) ? nlohmann::json(x) : nlohmann::json(nullptr); };
  return {{"before", value(before)}, {"after", value(after)}};
}

std::string pixels_text(mirnet::Index pixels) {
  double const mega = 1e-6 * static_cast<double>(pixels);
  if (mega < 0.01) return format("%lld pixels", number(pixels));
  return format(mega < 1 ? "%.2f megapixels" : "%.1f megapixels", mega);
}

std::string long_text(Report const& report, Settings const& settings) {
  std::string text =
      format("size              %lld x %lld, %lld channel%s of %s\n", number(report.width), number(report.height),
             number(report.channels), report.channels == 1 ? "" : "s", depth(report.read));
  if (report.right) text += "right view        " + one_line(*report.right) + "\n";
  if (report.state == Report::State::estimated) {
    text += format("plan              %s\n", plan_text(*report.tiling).c_str());
    text += format("memory            %s\n", bytes_text(memory_of(report)).c_str());
    text += format("time              about %s\n", duration_text(*report.estimated_seconds).c_str());
  } else {
    if (report.output != standard_stream) text = "result            " + one_line(report.output) + "\n" + text;
    text += format("time              %s, %.2f megapixels/s\n", duration_text(report.seconds.run).c_str(),
                   report.megapixels() / report.seconds.run);
    if (report.tiling->tiles() > 1) text += format("tiles             %s\n", plan_text(*report.tiling).c_str());
    if (auto const peak = peak_memory()) text += format("peak memory       %.1f MiB\n", *peak / (1 << 20));
  }
  text += format("instruction set   %s\n", settings.instruction_set.c_str());
  text += format("precision         %s\n", settings.precision.c_str());
  text += format("threads           %lld\n", number(settings.threads));
  text += "network           " + settings.network + "\n";
  text += format("model             %s (%s)\n", settings.model.c_str(), settings.checksum.c_str());
  if (report.noise) text += "noise             " + noise_text(*report.noise, report.channels >= 3) + "\n";
  if (report.strength != 1) text += format("strength          %.2f\n", static_cast<double>(report.strength));
  if (report.hot_pixels > 0) text += format("hot pixels        %lld removed\n", number(report.hot_pixels));
  if (settings.algorithm == "direct") text += "algorithm         direct\n";
  if (report.stored > report.read) text += std::string("stored as         ") + depth(report.stored) + "\n";
  if (mirnet::sample_bytes(report.stored) < mirnet::sample_bytes(report.read)) {
    text += "note              " + report.output + " holds " + depth(report.stored) + ": the samples were rounded\n";
  }
  if (report.after) {
    text += format("PSNR              %s dB before, %s dB after\n", cli::text(report.before->psnr, 2).c_str(),
                   cli::text(report.after->psnr, 2).c_str());
    text += format("SSIM              %s before, %s after\n", cli::text(report.before->ssim, 4).c_str(),
                   cli::text(report.after->ssim, 4).c_str());
  }
  return text;
}

std::string short_text(Report const& report) {
  auto const line = report.input + " -> " + report.output + "  " + pixels_text(report.width * report.height);
  switch (report.state) {
    case Report::State::skipped: return report.input + ": skipped, " + report.output + " already exists\n";
    case Report::State::estimated:
      return line + ", about " + duration_text(*report.estimated_seconds) + ", " + bytes_text(memory_of(report)) +
             " of memory\n";
    case Report::State::previewed:
      return report.input + format(": %zu crop%s, %s\n", report.crops, report.crops == 1 ? "" : "s",
                                   duration_text(report.seconds.run).c_str());
    case Report::State::restored: break;
    case Report::State::failed: return {};
  }
  auto text = line + ", " + duration_text(report.seconds.run);
  if (report.noise && report.strength != 1) text += format(", strength %.2f", static_cast<double>(report.strength));
  if (report.hot_pixels > 0) text += format(", %lld hot pixels removed", number(report.hot_pixels));
  if (report.stored < report.read) text += std::string(", rounded to ") + depth(report.stored);
  if (report.after) {
    text += ", PSNR " + cli::text(report.before->psnr, 2) + " -> " + cli::text(report.after->psnr, 2) + " dB";
  }
  return text + "\n";
}

std::string json_text(Report const& report, Settings const& settings) {
  nlohmann::ordered_json object;
  put_name(object, "input", report.input);
  if (report.right) put_name(object, "right", *report.right);
  if (!report.output.empty()) put_name(object, "output", report.output);
  object["state"] = name(report.state);
  if (report.error) {
    object["error"] = {{"code", static_cast<int>(report.error->code())}, {"message", report.error->message()}};
  }
  if (!report.warnings.empty()) object["warnings"] = report.warnings;
  if (report.width > 0) {
    object["width"] = report.width;
    object["height"] = report.height;
    object["channels"] = report.channels;
    object["bits"] = {{"read", bits(report.read)}, {"stored", bits(report.stored)}};
  }
  if (report.tiling) {
    auto const& tiling = *report.tiling;
    object["plan"] = {{"tiles", {tiling.x.count(), tiling.y.count()}},
                      {"tile_size", {tiling.x.length(), tiling.y.length()}},
                      {"bytes", tiling.bytes},
                      {"macs", tiling.macs()}};
  }
  if (report.estimated_seconds) object["estimated_seconds"] = *report.estimated_seconds;
  if (report.state == Report::State::restored) {
    auto const& seconds = report.seconds;
    object["seconds"] = {
        {"read", seconds.read}, {"plan", seconds.plan}, {"run", seconds.run}, {"write", seconds.write}};
    object["megapixels_per_second"] = report.megapixels() / seconds.run;
  }
  object["strength"] = std::round(1000.0 * static_cast<double>(report.strength)) / 1000.0;
  if (report.noise) {
    auto const levels = [](float deviation) { return std::round(25500.0 * static_cast<double>(deviation)) / 100.0; };
    object["noise"] = {{"brightness", levels(report.noise->brightness)}, {"colour", levels(report.noise->colour)}};
  }
  if (report.hot_pixels > 0) object["hot_pixels"] = report.hot_pixels;
  if (auto const peak = peak_memory()) object["peak_memory_bytes"] = static_cast<long long>(*peak);
  object["instruction_set"] = settings.instruction_set;
  object["threads"] = settings.threads;
  object["precision"] = settings.precision;
  object["algorithm"] = settings.algorithm;
  object["network"] = settings.network;
  object["model"] = settings.model;
  object["weights_checksum"] = settings.checksum;
  object["version"] = MIRNET_VERSION;
  if (report.after) {
    object["psnr"] = figures(report.before->psnr, report.after->psnr);
    object["ssim"] = figures(report.before->ssim, report.after->ssim);
  }
  // Names in it, and in the sentences, need not be UTF-8; JSON is.
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string summary_text(Counts const& counts, WorkList const& all, char const* verb) {
  auto text = format("%zu %s, %zu skipped, %zu failed", counts.done, verb, counts.skipped, counts.failed);
  if (counts.bytes > 0) {
    text += ": about " + duration_text(counts.seconds) + ", " + bytes_text(counts.bytes) + " of memory";
  } else if (counts.done > 0) {
    text += " in " + duration_text(counts.seconds);
  }
  std::string left_out;
  auto const add = [&](std::size_t count, char const* name, char const* remedy) {
    if (count > 0) left_out += format("%s%zu %s%s", left_out.empty() ? "" : ", ", count, name, remedy);
  };
  add(all.results, all.results == 1 ? "result of an earlier run" : "results of earlier runs", " (--include-results)");
  add(all.subfolders, all.subfolders == 1 ? "subfolder" : "subfolders", " (-r)");
  add(all.others, all.others == 1 ? "file that is no photograph" : "files that are no photographs", "");
  return text + (left_out.empty() ? "" : "; left out " + left_out) + "\n";
}

std::string summary_json(Counts const& counts, WorkList const& all, char const* verb) {
  nlohmann::ordered_json object;
  object["summary"] = {{verb, counts.done},
                       {"skipped", counts.skipped},
                       {"failed", counts.failed},
                       {"unreadable_folders", all.unreadable.size()},
                       {"results_left_out", all.results},
                       {"subfolders_left_out", all.subfolders},
                       {"other_files_left_out", all.others},
                       {"seconds", counts.seconds}};
  return object.dump() + "\n";
}

}  // namespace cli
