#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "profile.hpp"

namespace cli {
namespace {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

double ratio(double a, double b) { return b > 0 ? a / b : nothing; }

}  // namespace

double Profile::ridge() const { return peak_gflops > 0 ? ratio(peak_gflops, bandwidth) : nothing; }

Figures figures(Profile const& profile, ProfileRow const& row) {
  double const seconds = row.time.median() * 1e-3;
  bool const computes = row.products > 0;
  Figures result;
  result.direct_gflops = computes ? ratio(2e-9 * row.macs, seconds) : nothing;
  result.gflops = computes ? ratio(2e-9 * row.products, seconds) : nothing;
  result.percent_of_peak = 100 * ratio(result.gflops, profile.peak_gflops);
  result.bytes_per_second = ratio(1e-9 * row.bytes, seconds);
  result.intensity = computes ? ratio(2 * row.products, row.bytes) : nothing;
  double const ridge = profile.ridge();
  bool const memory = !computes || result.intensity < ridge;
  if (!std::isnan(ridge)) result.bound = memory ? "memory" : "compute";
  double const traffic = 100 * ratio(result.bytes_per_second, profile.bandwidth);
  result.percent_of_roof = std::isnan(ridge) ? nothing : memory ? traffic : result.percent_of_peak;
  result.efficiency = 100 * ratio(row.busy.median(), row.time.median() * static_cast<double>(profile.threads));
  return result;
}

std::string block_of(std::string const& name) {
  std::string const path = name.substr(0, name.find('#'));
  std::vector<std::size_t> dots;
  for (std::size_t at = path.find('.'); at != std::string::npos; at = path.find('.', at + 1)) dots.push_back(at);
  if (dots.size() < 2) return "network";
  // "body.G.body.B" is a multi-scale block, and one step more is one of its parts, or two if the parts are numbered;
  // "body.G" is a group.
  std::size_t steps = dots.size() >= 4 ? 4 : 2;
  if (dots.size() >= 5) {
    char const second = path[dots[4] + 1];
    bool const is_numbered = second >= '0' && second <= '9';
    if (!is_numbered) steps = 5;
    if (is_numbered && dots.size() >= 6) steps = 6;
  }
  return path.substr(0, dots[steps - 1]);
}

std::vector<ProfileRow> grouped(Profile const& profile, Grouping grouping) {
  if (grouping == Grouping::layer) return profile.layers;
  std::vector<ProfileRow> groups;
  std::map<std::string, std::size_t> places;
  for (auto const& layer : profile.layers) {
    auto const name = grouping == Grouping::operation ? layer.operation : block_of(layer.name);
    auto const [place, is_new] = places.emplace(name, groups.size());
    if (is_new) {
      groups.emplace_back();
      groups.back().name = name;
      groups.back().operation = grouping == Grouping::operation ? layer.operation : "";
    }
    auto& group = groups[place->second];
    group.calls += layer.calls;
    group.time += layer.time;
    group.busy += layer.busy;
    group.macs += layer.macs;
    group.products += layer.products;
    group.bytes += layer.bytes;
    group.live_bytes = std::max(group.live_bytes, layer.live_bytes);
  }
  return groups;
}

void sort_rows(std::vector<ProfileRow>& rows, Sorting sorting) {
  auto const longer = [](ProfileRow const& a, ProfileRow const& b) { return a.time.median() > b.time.median(); };
  if (sorting == Sorting::run) return;
  if (sorting == Sorting::time) return std::stable_sort(rows.begin(), rows.end(), longer);
  // The operation that takes the most time first, and within it the longest row.
  std::map<std::string, double> sums;
  for (auto const& row : rows) sums[row.operation] += row.time.median();
  std::stable_sort(rows.begin(), rows.end(), [&](ProfileRow const& a, ProfileRow const& b) {
    if (a.operation == b.operation) return longer(a, b);
    double const sum_a = sums[a.operation], sum_b = sums[b.operation];
    return sum_a != sum_b ? sum_a > sum_b : a.operation < b.operation;
  });
}

}  // namespace cli
