#include "machine.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#endif

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

std::vector<int> allowed_processors(SystemFiles const& system) {
  if (!system.processors.empty()) return system.processors;
  std::vector<int> processors;
#if defined(__linux__)
  // More processors than cpu_set_t has bits for need a larger set.
  for (int count = CPU_SETSIZE; count <= 1 << 20; count *= 2) {
    std::size_t const bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(count));
    cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(count));
    if (set == nullptr) break;
    bool const told = sched_getaffinity(0, bytes, set) == 0;
    for (int i = 0; told && i < count; ++i) {
      if (CPU_ISSET_S(static_cast<std::size_t>(i), bytes, set)) processors.push_back(i);
    }
    CPU_FREE(set);
    if (told) break;
  }
#endif
  return processors;
}

/// The folders of this process's control group for a controller and of all groups around it, the innermost first.
std::vector<fs::path> control_groups(SystemFiles const& system, std::string const& controller) {
  std::vector<fs::path> folders;
  std::ifstream file(system.root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    // "0::/path" is the unified hierarchy; "4:cpu,cpuacct:/path" one of version 1.
    auto const first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1));
    auto const base = system.root / "sys/fs/cgroup";
    fs::path mount;
    if (second == first + 1) {
      mount = base;
    } else {
      for (std::string name; std::getline(names, name, ',');) {
        if (name == controller) mount = base / controller;
      }
    }
    if (mount.empty()) continue;
    // In a container, the path may be that of the host while the mount shows the container's group as its root.
    for (fs::path group = fs::path(line.substr(second + 1)).relative_path();; group = group.parent_path()) {
      folders.push_back(group.empty() ? mount : mount / group);
      if (group.empty()) break;
    }
  }
  return folders;
}

}  // namespace

int usable_cores(SystemFiles const& system) {
  auto const processors = allowed_processors(system);
  std::set<std::pair<double, double>> cores;
  for (int const processor : processors) {
    auto const topology = system.root / "sys/devices/system/cpu" / ("cpu" + std::to_string(processor)) / "topology";
    auto const core = number_in(topology / "core_id"), package = number_in(topology / "physical_package_id");
    // Where nothing is told, each processor counts as a core.
    cores.insert(core ? std::pair(package.value_or(0), *core) : std::pair(-1.0, static_cast<double>(processor)));
  }
  auto usable =
      processors.empty() ? static_cast<double>(std::thread::hardware_concurrency()) : static_cast<double>(cores.size());
  for (auto const& group : control_groups(system, "cpu")) {
    double quota = 0, period = 0;
    if (std::ifstream both(group / "cpu.max"); both >> quota >> period && period > 0) {
      usable = std::min(usable, quota / period);
    } else if (auto const microseconds = number_in(group / "cpu.cfs_quota_us"); microseconds && *microseconds > 0) {
      usable = std::min(usable, *microseconds / number_in(group / "cpu.cfs_period_us").value_or(100000));
    }
  }
  return std::max(1, static_cast<int>(usable + 0.5));
}

std::optional<double> available_memory(SystemFiles const& system) {
  auto available = kibibytes_in(system.root / "proc/meminfo", "MemAvailable");
  for (auto const& group : control_groups(system, "memory")) {
    auto limit = number_in(group / "memory.max");
    auto used = number_in(group / "memory.current");
    char const* reclaimable = "inactive_file";
    if (!limit) {
      limit = number_in(group / "memory.limit_in_bytes");
      used = number_in(group / "memory.usage_in_bytes");
      reclaimable = "total_inactive_file";
    }
    constexpr double no_limit = 1e18;  // version 1 says the largest number of pages
    if (!limit || !used || *limit > no_limit) continue;
    double const left = std::max(0.0, *limit - *used + value_in(group / "memory.stat", reclaimable));
    available = std::min(available.value_or(left), left);
  }
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
