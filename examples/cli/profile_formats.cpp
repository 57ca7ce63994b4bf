#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include <mirnet/version.hpp>

#include "commands.hpp"
#include "profile.hpp"

extern "C" const char mirnet_profile_page[], mirnet_profile_page_end[];

namespace cli {
namespace {

using Json = nlohmann::ordered_json;
using Value = std::variant<std::string, double>;

/// A row, where it stands, and the percentages so far.
struct Entry {
  ProfileRow const& row;
  Figures figures;
  double percent, cumulative;
};

/// A column: of the table, if it has a title; of CSV and JSON, under its key.
struct Column {
  char const* key;
  char const* title;
  int digits;  ///< behind the point, in the table
  std::function<Value(Entry const&)> value;
};

std::vector<Column> const& columns() {
  static std::vector<Column> const list = {
      {"percent", "%", 2, [](Entry const& e) { return e.percent; }},
      {"cumulative_percent", "sum %", 2, [](Entry const& e) { return e.cumulative; }},
      {"median_ms", "ms", 4, [](Entry const& e) { return e.row.time.median(); }},
      {"min_ms", "min", 4, [](Entry const& e) { return e.row.time.minimum(); }},
      {"p95_ms", "p95", 4, [](Entry const& e) { return e.row.time.percentile(0.95); }},
      {"mean_ms", nullptr, 3, [](Entry const& e) { return e.row.time.mean(); }},
      {"calls", "calls", 0, [](Entry const& e) { return static_cast<double>(e.row.calls); }},
      {"mmac", "MMAC", 2, [](Entry const& e) { return e.row.macs * 1e-6; }},
      {"direct_gflops", "direct", 1, [](Entry const& e) { return e.figures.direct_gflops; }},
      {"gflops", "GFLOP/s", 1, [](Entry const& e) { return e.figures.gflops; }},
      {"percent_of_peak", "% peak", 1, [](Entry const& e) { return e.figures.percent_of_peak; }},
      {"mbytes", "MB", 2, [](Entry const& e) { return e.row.bytes * 1e-6; }},
      {"gbytes_per_s", "GB/s", 1, [](Entry const& e) { return e.figures.bytes_per_second; }},
      {"flop_per_byte", "FLOP/B", 1, [](Entry const& e) { return e.figures.intensity; }},
      {"bound", "bound", 0, [](Entry const& e) { return std::string(e.figures.bound); }},
      {"percent_of_roof", "% roof", 1, [](Entry const& e) { return e.figures.percent_of_roof; }},
      {"thread_efficiency", "% busy", 1, [](Entry const& e) { return e.figures.efficiency; }},
      {"live_mbytes", "live MB", 2, [](Entry const& e) { return e.row.live_bytes * 1e-6; }},
      {"input", "in", 0, [](Entry const& e) { return e.row.input; }},
      {"output", "out", 0, [](Entry const& e) { return e.row.output; }},
      {"operation", "operation", 0, [](Entry const& e) { return e.row.operation + e.row.fused; }},
      {"kernel", "kernel", 0, [](Entry const& e) { return e.row.kernel; }},
      {"name", "name", 0, [](Entry const& e) { return e.row.name; }},
  };
  return list;
}

bool is_text(Column const& column) {
  static ProfileRow const row;
  return std::holds_alternative<std::string>(column.value({row, {}, 0, 0}));
}

std::vector<Entry> entries(Profile const& profile, std::vector<ProfileRow> const& rows) {
  // Of the medians that are listed and of unattributed time: medians of different runs do not add up to that of the
  // total, where other programs disturb one run or another.
  double all = profile.unattributed.median(), sum = 0;
  for (auto const& row : rows) all += row.time.median();
  std::vector<Entry> list;
  for (auto const& row : rows) {
    sum += row.time.median();
    list.push_back({row, figures(profile, row), 100 * row.time.median() / all, 100 * sum / all});
  }
  return list;
}

std::vector<ProfileRow> rows_of(Profile const& profile, Grouping grouping, Sorting sorting) {
  auto rows = grouped(profile, grouping);
  sort_rows(rows, sorting);
  return rows;
}

std::string version() { return std::string("mirnet ") + MIRNET_VERSION; }

/// "features 16, blocks 2".
std::string hyper_parameters_text(Profile const& profile) {
  std::string list;
  for (auto const& parameter : profile.hyper_parameters) {
    list += (list.empty() ? "" : ", ") + std::string(parameter.name) + " " + text(parameter);
  }
  return list;
}

// --- Table -------------------------------------------------------------------------------------------------------

/// Text to the left, numbers to the right, each column as wide as it has to be.
std::string aligned(std::vector<std::vector<std::string>> const& lines, std::vector<bool> const& left) {
  std::vector<std::size_t> widths(left.size(), 0);
  for (auto const& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (auto const& line : lines) {
    std::string out;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (i > 0) out += "  ";
      std::string const space(widths[i] - line[i].size(), ' ');
      out += left[i] ? line[i] + space : space + line[i];
    }
    out.erase(out.find_last_not_of(' ') + 1);
    text += out + "\n";
  }
  return text;
}

std::string rows_text(Profile const& profile, std::vector<ProfileRow> const& rows, bool shapes) {
  std::vector<Column const*> shown;
  std::vector<bool> left;
  for (auto const& column : columns()) {
    std::string_view const key = column.key;
    bool const of_layers = key == "input" || key == "output" || key == "operation" || key == "kernel";
    if (column.title == nullptr || (!shapes && of_layers)) continue;
    shown.push_back(&column);
    left.push_back(is_text(column));
  }
  std::vector<std::vector<std::string>> lines(1);
  for (auto const* column : shown) lines[0].push_back(column->title);
  for (auto const& entry : entries(profile, rows)) {
    auto& line = lines.emplace_back();
    for (auto const* column : shown) {
      auto const value = column->value(entry);
      auto const* const number = std::get_if<double>(&value);
      line.push_back(number != nullptr ? text(*number, column->digits) : std::get<std::string>(value));
    }
  }
  return aligned(lines, left);
}

std::string time_text(Profile const& profile, char const* name, measure::Samples const& time, char const* remark) {
  return format("%-14s %10.3f ms  %6.2f %%  min %.3f, p95 %.3f%s\n", name, time.median(),
                100 * time.median() / profile.total.median(), time.minimum(), time.percentile(0.95), remark);
}

std::string header_text(Profile const& profile) {
  std::string text =
      one_line(format("%s, %s, %s, %lld thread%s, %lld x %lld, algorithm %s", version().c_str(), profile.isa.c_str(),
                      profile.precision.c_str(), static_cast<long long>(profile.threads),
                      profile.threads == 1 ? "" : "s", static_cast<long long>(profile.width),
                      static_cast<long long>(profile.height), profile.algorithm.c_str())) +
      "\n";
  text += "network    " + profile.network + "\n";
  text += "weights    " + one_line(profile.weights) + ": " + hyper_parameters_text(profile) +
          format("; %.3f M parameters\n", static_cast<double>(profile.parameters) * 1e-6);
  text += "processor  " + one_line(profile.processor) + format(", %u processors\n", profile.processors);
  text += "compiler   " + profile.compiler + ", " + profile.flags + "\n";
  if (profile.peak_gflops > 0) {
    text += format("peak       %.1f GFLOP/s of multiply-adds, %lld thread%s\n", profile.peak_gflops,
                   static_cast<long long>(profile.threads), profile.threads == 1 ? "" : "s");
  }
  if (profile.bandwidth > 0) {
    text += format("memory     %.1f GB/s, triad over %.0f MB", profile.bandwidth, profile.bandwidth_bytes * 1e-6);
    if (!std::isnan(profile.ridge())) text += format("; arithmetic limits from %.1f FLOP/byte on", profile.ridge());
    text += "\n";
  }
  text += format("runs       %zu, after %d to warm up; %.1f MB of working memory, %.1f MB of weights\n",
                 profile.total.ms.size(), profile.warmup, profile.plan_bytes * 1e-6, profile.model_bytes * 1e-6);
  return text;
}

// --- JSON --------------------------------------------------------------------------------------------------------

/// Six digits are more than a clock has; JSON has neither infinity nor NaN.
Json number(double value) {
  if (!std::isfinite(value)) return nullptr;
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.6g", value);
  return std::strtod(digits, nullptr);
}

Json numbers(std::vector<double> const& values) {
  Json list = Json::array();
  for (double const value : values) list.push_back(number(value));
  return list;
}

Json samples_json(measure::Samples const& time) {
  return {{"median_ms", number(time.median())},
          {"min_ms", number(time.minimum())},
          {"p95_ms", number(time.percentile(0.95))},
          {"mean_ms", number(time.mean())},
          {"runs_ms", numbers(time.ms)}};
}

Json rows_json(Profile const& profile, Grouping grouping, Sorting sorting) {
  Json list = Json::array();
  auto const rows = rows_of(profile, grouping, sorting);
  for (auto const& entry : entries(profile, rows)) {
    Json object;
    object["name"] = entry.row.name;
    for (auto const& column : columns()) {
      std::string_view const key = column.key;
      auto const value = column.value(entry);
      if (auto const* const figure = std::get_if<double>(&value)) {
        object[column.key] = number(*figure);
      } else if (!std::get<std::string>(value).empty() && key != "operation") {
        object[column.key] = std::get<std::string>(value);
      }
    }
    if (grouping == Grouping::layer) {
      object["operation"] = entry.row.operation;
      object["fused"] = entry.row.fused;
      object["instruction_set"] = profile.isa;
      object["block"] = block_of(entry.row.name);
    }
    object["products"] = number(entry.row.products);
    object["runs_ms"] = numbers(entry.row.time.ms);
    list.push_back(std::move(object));
  }
  return list;
}

Json network_json(Profile const& profile) {
  Json object = {{"name", profile.network}, {"weights", profile.weights}};
  for (auto const& parameter : profile.hyper_parameters) {
    object[parameter.name] = parameter.is_switch ? Json(parameter.value != 0) : Json(parameter.value);
  }
  object["parameters"] = profile.parameters;
  object["precision"] = profile.precision;
  object["algorithm"] = profile.algorithm;
  return object;
}

Json profile_object(Profile const& profile, Sorting sorting) {
  return {{"profile", 1},
          {"mirnet", MIRNET_VERSION},
          {"machine",
           {{"processor", profile.processor},
            {"processors", profile.processors},
            {"compiler", profile.compiler},
            {"flags", profile.flags},
            {"instruction_set", profile.isa},
            {"threads", profile.threads},
            {"peak_gflops", number(profile.peak_gflops)},
            {"gbytes_per_s", number(profile.bandwidth)},
            {"triad_bytes", number(profile.bandwidth_bytes)},
            {"ridge_flop_per_byte", number(profile.ridge())}}},
          {"network", network_json(profile)},
          {"image", {{"width", profile.width}, {"height", profile.height}}},
          {"memory", {{"plan_bytes", number(profile.plan_bytes)}, {"weights_bytes", number(profile.model_bytes)}}},
          {"runs", profile.total.ms.size()},
          {"warmup", profile.warmup},
          {"overhead",
           {{"hooks", number(profile.hooks)},
            {"nanoseconds_a_hook", number(profile.hook_nanoseconds)},
            {"percent", number(100 * profile.profiling_ms() / profile.total.median())}}},
          {"total", samples_json(profile.total)},
          {"unattributed", samples_json(profile.unattributed)},
          {"thread_wait", samples_json(profile.wait)},
          {"layers", rows_json(profile, Grouping::layer, sorting)},
          {"operations", rows_json(profile, Grouping::operation, Sorting::time)},
          {"blocks", rows_json(profile, Grouping::block, Sorting::run)}};
}

/// Names of files may hold bytes that are no UTF-8: JSON gets a mark in their place.
std::string dump(Json const& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// With a line for each row, so that tools that compare lines show what changed.
std::string dump_lines(Json const& json) {
  std::string text = "{\n";
  for (auto item = json.begin(); item != json.end(); ++item) {
    if (item != json.begin()) text += ",\n";
    text += dump(item.key()) + ": ";
    if (!item->is_array()) {
      text += dump(*item);
      continue;
    }
    text += "[\n";
    for (auto row = item->begin(); row != item->end(); ++row) {
      if (row != item->begin()) text += ",\n";
      text += dump(*row);
    }
    text += "\n]";
  }
  return text + "\n}\n";
}

}  // namespace

std::string profile_table(Profile const& profile, Grouping grouping, Sorting sorting) {
  std::string text = header_text(profile) + "\n";
  auto const title = [&](Grouping of) {
    return of == Grouping::layer ? "layers" : of == Grouping::operation ? "operations" : "blocks";
  };
  auto const add = [&](Grouping of, Sorting by) {
    text += std::string("by ") + title(of) + "\n" +
            rows_text(profile, rows_of(profile, of, by), of == Grouping::layer) + "\n";
  };
  add(grouping, sorting);
  // Whoever asks for layers sees what they add up to.
  if (grouping == Grouping::layer) {
    add(Grouping::operation, Sorting::time);
    add(Grouping::block, Sorting::time);
  }
  text += time_text(profile, "unattributed", profile.unattributed, "");
  text += time_text(profile, "total", profile.total, "");
  text += time_text(profile, "thread wait", profile.wait, "; of a thread in the mean, a part of the rows above");
  text += format("%-14s %10.3f ms  %6.2f %%  %.0f pairs of hooks a run of %.1f ns each, shared by the threads\n",
                 "profiling", profile.profiling_ms(), 100 * profile.profiling_ms() / profile.total.median(),
                 profile.hooks, profile.hook_nanoseconds);
  return text;
}

std::string profile_csv(Profile const& profile, Grouping grouping, Sorting sorting) {
  auto const quoted = [](std::string const& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string result = "\"";
    for (char const c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
    return result + "\"";
  };
  std::string csv = "instruction_set";
  for (auto const& column : columns()) csv += std::string(",") + column.key;
  csv += "\r\n";
  auto const add = [&](Entry const& entry) {
    csv += profile.isa;
    for (auto const& column : columns()) {
      auto const value = column.value(entry);
      auto const* const figure = std::get_if<double>(&value);
      csv += ",";
      if (figure != nullptr && !std::isfinite(*figure)) continue;
      csv += figure != nullptr ? format("%.6g", *figure) : quoted(one_line(std::get<std::string>(value)));
    }
    csv += "\r\n";
  };
  auto const rows = rows_of(profile, grouping, sorting);
  for (auto const& entry : entries(profile, rows)) add(entry);
  for (auto const& [name, time] : {std::pair("unattributed", &profile.unattributed),
                                   std::pair("thread wait", &profile.wait), std::pair("total", &profile.total)}) {
    ProfileRow row;
    row.name = name;
    row.time = *time;
    constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
    add({row, figures(profile, row), 100 * time->median() / profile.total.median(), nothing});
  }
  return csv;
}

std::string profile_json(Profile const& profile, Sorting sorting) {
  return dump_lines(profile_object(profile, sorting));
}

std::string profile_trace(Profile const& profile) {
  Json events = Json::array();
  auto const describe = [&](char const* what, mirnet::Index thread, std::string const& name) {
    events.push_back({{"ph", "M"}, {"name", what}, {"pid", 1}, {"tid", thread}, {"args", {{"name", name}}}});
  };
  describe("process_name", 0, "mirnet");
  for (mirnet::Index worker = 0; worker < profile.threads; ++worker) {
    describe("thread_name", worker, worker == 0 ? "calling thread" : "worker " + std::to_string(worker));
    events.push_back(
        {{"ph", "M"}, {"name", "thread_sort_index"}, {"pid", 1}, {"tid", worker}, {"args", {{"sort_index", worker}}}});
  }
  // Neighbours in one block of the network lie under one bar, in the first lane.
  auto const bar = [&](std::string const& name, double begin, double end) {
    events.push_back(
        {{"ph", "X"}, {"name", name}, {"cat", "block"}, {"pid", 1}, {"tid", 0}, {"ts", begin}, {"dur", end - begin}});
  };
  std::string block;
  double begin = 0, end = 0;
  for (auto const& span : profile.spans) {
    auto const own = block_of(profile.layers[span.node].name);
    if (own != block) {
      if (!block.empty()) bar(block, begin, end);
      block = own;
      begin = span.start;
      end = begin;
    }
    if (span.worker == 0) end = std::max(end, span.start + span.length);
  }
  if (!block.empty()) bar(block, begin, end);
  for (auto const& span : profile.spans) {
    auto const& row = profile.layers[span.node];
    auto const at = figures(profile, row);
    events.push_back({{"ph", "X"},
                      {"name", row.name},
                      {"cat", row.operation},
                      {"pid", 1},
                      {"tid", span.worker},
                      {"ts", span.start},
                      {"dur", span.length},
                      {"args",
                       {{"operation", row.operation + row.fused},
                        {"kernel", profile.isa + " " + row.kernel},
                        {"input", row.input},
                        {"output", row.output},
                        {"median_ms", number(row.time.median())},
                        {"mmac", number(row.macs * 1e-6)},
                        {"gflops", number(at.gflops)},
                        {"percent_of_peak", number(at.percent_of_peak)},
                        {"gbytes_per_s", number(at.bytes_per_second)},
                        {"flop_per_byte", number(at.intensity)},
                        {"bound", at.bound}}}});
  }
  for (auto const& live : profile.live) {
    events.push_back({{"ph", "C"},
                      {"name", "working memory"},
                      {"pid", 1},
                      {"tid", 0},
                      {"ts", live.time},
                      {"args", {{"bytes", live.bytes}}}});
  }
  return dump_lines({{"displayTimeUnit", "ms"},
                     {"otherData",
                      {{"version", version()},
                       {"processor", profile.processor},
                       {"instruction_set", profile.isa},
                       {"threads", profile.threads},
                       {"network", profile.network},
                       {"weights", profile.weights},
                       {"image", std::to_string(profile.width) + "x" + std::to_string(profile.height)}}},
                     {"traceEvents", std::move(events)}});
}

std::string profile_html(Profile const& profile, Sorting sorting) {
  auto object = profile_object(profile, sorting);
  Json& spans = object["spans"] = Json::array();  // node in the order of the run, worker, start, length
  for (auto const& span : profile.spans) {
    spans.push_back({span.node, span.worker, number(span.start), number(span.length)});
  }
  Json& live = object["live"] = Json::array();  // time, bytes
  for (auto const& point : profile.live) live.push_back({number(point.time), number(point.bytes)});
  Json& names = object["run_order"] = Json::array();
  for (auto const& layer : profile.layers) names.push_back(layer.name);
  object["hyper_parameters"] = hyper_parameters_text(profile);
  // Inside of a script nothing may look like the end of one, whatever the names hold.
  std::string data;
  for (char const c : dump(object)) data += c == '<' ? std::string("\\u003c") : std::string(1, c);
  std::string page(mirnet_profile_page, mirnet_profile_page_end);
  std::string_view const place = "\"the profile goes here\"";
  return page.replace(page.find(place), place.size(), data);
}

}  // namespace cli
