#include "memory_limit.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "machine.hpp"

namespace cli {

mirnet::Result<double> parse_bytes(std::string const& text) {
  char* end = nullptr;
  double const number = std::strtod(text.c_str(), &end);
  std::string_view unit(end);
  double factor = 1;
  for (std::string_view const units = "kmgt"; char const c : units) {
    factor *= 1024;
    if (unit.empty() || (unit[0] | 0x20) != c) continue;
    if (unit.size() == 1 || unit.substr(1) == "B" || unit.substr(1) == "iB" || unit.substr(1) == "b") {
      if (end != text.c_str() && std::isfinite(number) && number > 0) return number * factor;
    }
  }
  bool const plain = unit.empty() && end != text.c_str() && std::isfinite(number) && number > 0;
  if (plain) return number;
  return mirnet::Error(mirnet::ErrorCode::invalid_argument, "\"%s\" is no size of memory; expected one like 500M or 2G",
                       text.c_str());
}

std::string bytes_text(double bytes) {
  char text[32];
  bool const large = bytes >= 1 << 30;
  std::snprintf(text, sizeof text, large ? "%.2f GiB" : "%.1f MiB", bytes / (large ? 1 << 30 : 1 << 20));
  return text;
}

double memory_budget(double limit) {
  if (limit > 0) return limit - used_memory().value_or(0);
  auto const available = available_memory();
  return available ? 0.75 * *available : std::numeric_limits<double>::infinity();
}

std::string budget_text(double limit) {
  auto const budget = bytes_text(std::max(memory_budget(limit), 0.0));
  if (limit <= 0) return budget + ", three quarters of the free memory, may be used";
  auto const used = used_memory().value_or(0);
  auto text = "--max-memory allows " + bytes_text(limit);
  return used > 0 ? text + ", of which " + bytes_text(std::min(used, limit)) + " is in use" : text;
}

mirnet::Error too_little_memory(measure::Size picture, double needed, double limit, std::string const& remedy) {
  return mirnet::Error(mirnet::ErrorCode::memory, "%lld x %lld pixels need %s of memory; %s; %s",
                       static_cast<long long>(picture.width), static_cast<long long>(picture.height),
                       bytes_text(needed).c_str(), budget_text(limit).c_str(), remedy.c_str());
}

}  // namespace cli
