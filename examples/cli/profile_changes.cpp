#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <nlohmann/json.hpp>

#include <mirnet/io/file.hpp>

#include "commands.hpp"
#include "profile.hpp"

namespace cli {
namespace {

using nlohmann::json;

struct Change {
  std::string name;
  double before, after, noise;  ///< NaN: there was none, there is none, it is not known
  double difference() const { return (std::isnan(after) ? 0 : after) - (std::isnan(before) ? 0 : before); }
};

measure::Samples read_samples(json const& object) { return {object.at("runs_ms").get<std::vector<double>>()}; }

std::string described(json const& file) {
  auto const& machine = file.at("machine");
  auto const& image = file.at("image");
  auto const text = [](json const& value) { return value.is_string() ? value.get<std::string>() : value.dump(); };
  return "mirnet " + text(file.at("mirnet")) + ", " + text(machine.at("instruction_set")) + ", " +
         text(file.at("network").at("precision")) + ", " + text(machine.at("threads")) + " threads, " +
         text(image.at("width")) + " x " + text(image.at("height")) + ", " + text(machine.at("processor")) + ", peak " +
         text(machine.at("peak_gflops")) + " GFLOP/s, " + text(machine.at("gbytes_per_s")) + " GB/s";
}

std::string line(Change const& change) {
  bool const both = !std::isnan(change.before) && !std::isnan(change.after);
  std::string const percent = both && change.before > 0 ? text(100 * change.difference() / change.before, 1) : "-";
  return format("%10s  %10s  %+10.3f  %8s  %8s  ", text(change.before, 3).c_str(), text(change.after, 3).c_str(),
                change.difference(), percent.c_str(), text(change.noise, 3).c_str()) +
         one_line(change.name) + "\n";
}

}  // namespace

mirnet::Result<Baseline> read_baseline(std::string const& path) {
  auto const file = mirnet::read_file(path.c_str());
  if (!file) return file.error();
  auto const bytes = file->bytes();
  auto const wrong = [&](char const* found) {
    return mirnet::Error(mirnet::ErrorCode::input, "%s: %s; expected what mirnet profile --format json writes",
                         path.c_str(), found);
  };
  auto const* const first = reinterpret_cast<char const*>(bytes.data());
  auto const parsed = json::parse(first, first + bytes.size(), nullptr, false);
  if (parsed.is_discarded()) return wrong("is not JSON");
  try {
    if (parsed.at("profile") != 1) return wrong("is a profile of another version");
    Baseline baseline;
    baseline.description = described(parsed);
    baseline.total = read_samples(parsed.at("total"));
    for (auto const& row : parsed.at("layers")) {
      auto& layer = baseline.layers.emplace_back();
      layer.name = row.at("name").get<std::string>();
      layer.operation = row.at("operation").get<std::string>();
      layer.time = read_samples(row);
    }
    return baseline;
  } catch (json::exception const&) {
    return wrong("lacks a key, or has one of another type");
  }
}

std::string profile_changes(Baseline const& before, Profile const& after, Grouping grouping) {
  Profile old;
  old.layers = before.layers;
  std::map<std::string, measure::Samples> times;
  for (auto const& row : grouped(old, grouping)) times[row.name] = row.time;
  std::vector<Change> changes;
  std::size_t same = 0;
  constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
  auto const add = [&](Change const& change) {
    // Three standard errors; without an estimate, everything counts.
    bool const within = std::abs(change.difference()) <= 3 * change.noise;
    if (within) {
      ++same;
    } else {
      changes.push_back(change);
    }
  };
  for (auto const& row : grouped(after, grouping)) {
    auto const found = times.find(row.name);
    if (found == times.end()) {
      add({row.name, nothing, row.time.median(), nothing});
      continue;
    }
    add({row.name, found->second.median(), row.time.median(), std::hypot(found->second.noise(), row.time.noise())});
    times.erase(found);
  }
  for (auto const& [name, time] : times) add({name, time.median(), nothing, nothing});
  std::stable_sort(changes.begin(), changes.end(), [](Change const& a, Change const& b) {
    return std::abs(a.difference()) > std::abs(b.difference());
  });

  std::string text = "before  " + one_line(before.description) + "\n";
  text += one_line(format("now     %s, %s, %lld threads, %lld x %lld, %s, peak %.6g GFLOP/s, %.6g GB/s",
                          after.isa.c_str(), after.precision.c_str(), static_cast<long long>(after.threads),
                          static_cast<long long>(after.width), static_cast<long long>(after.height),
                          after.processor.c_str(), after.peak_gflops, after.bandwidth)) +
          "\n\n before ms      now ms  difference         %     noise  name\n";
  for (auto const& change : changes) text += line(change);
  text += line(
      {"total", before.total.median(), after.total.median(), std::hypot(before.total.noise(), after.total.noise())});
  return text +
         format(
             "\nMedians of %zu and %zu runs. Noise is the standard error of a difference; %zu rows differ by less\n"
             "than three times that, or not at all, and are left out.\n",
             before.total.ms.size(), after.total.ms.size(), same);
}

}  // namespace cli
