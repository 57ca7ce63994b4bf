#include "machine.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include <mirnet/runtime/usable_cores.hpp>

namespace fs = std::filesystem;

namespace cli {
namespace {

/// The first number in a file; nothing where there is none ("max", say, for no limit).
std::optional<double> number_in(fs::path const& path) {
  std::ifstream file(path);
  double number = 0;
  if (file >> number) return number;
  return {};
}

/// A number of bytes in a file of lines like "VmHWM:  1234 kB".
std::optional<double> kibibytes_in(fs::path const& path, std::string const& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    double kibibytes = 0;
    if (words >> name >> kibibytes && name == key + ":") return kibibytes * 1024;
  }
  return {};
}

/// The number behind a key in a file of lines like "inactive_file 1234".
double value_in(fs::path const& path, std::string const& key) {
  std::ifstream file(path);
  std::string name;
  for (double value = 0; file >> name >> value;) {
    if (name == key) return value;
  }
  return 0;
}

}  // namespace

mirnet::Index usable_cores(SystemFiles const& system) {
  return mirnet::usable_cores({.root = system.prefix().c_str(), .processors = system.processors});
}

std::optional<double> available_memory(SystemFiles const& system) {
  auto available = kibibytes_in(system.root / "proc/meminfo", "MemAvailable");
  mirnet::detail::each_control_group(system.prefix().c_str(), "memory", [&](auto const& path) {
    fs::path const group = path.c_str();
    auto limit = number_in(group / "memory.max");
    auto used = number_in(group / "memory.current");
    char const* reclaimable = "inactive_file";
    if (!limit) {
      limit = number_in(group / "memory.limit_in_bytes");
      used = number_in(group / "memory.usage_in_bytes");
      reclaimable = "total_inactive_file";
    }
    constexpr double no_limit = 1e18;  // version 1 says the largest number of pages
    if (!limit || !used || *limit > no_limit) return;
    double const left = std::max(0.0, *limit - *used + value_in(group / "memory.stat", reclaimable));
    available = std::min(available.value_or(left), left);
  });
  return available;
}

std::optional<double> peak_memory(SystemFiles const& system) {
  // getrusage would count what ran in this process before exec.
  return kibibytes_in(system.root / "proc/self/status", "VmHWM");
}

std::optional<double> used_memory(SystemFiles const& system) {
  return kibibytes_in(system.root / "proc/self/status", "VmRSS");
}

std::optional<double> mapped_memory(SystemFiles const& system) {
  return kibibytes_in(system.root / "proc/self/status", "VmSize");
}

double largest_cache(SystemFiles const& system) {
  double largest = 0;
  for (int index = 0; index < 8; ++index) {
    auto const cache = system.root / "sys/devices/system/cpu/cpu0/cache" / ("index" + std::to_string(index));
    std::ifstream file(cache / "size");
    double size = 0;
    char unit = ' ';
    file >> size >> unit;
    largest = std::max(largest, size * (unit == 'K' ? 1 << 10 : unit == 'M' ? 1 << 20 : 1));
  }
  return largest;
}

std::string processor_name(SystemFiles const& system) {
  std::ifstream file(system.root / "proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    auto const colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace cli
