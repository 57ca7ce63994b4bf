// How many threads a pool should have: the cores that this process may use, which in a container or under taskset are
// fewer than those of the machine.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>
#if defined(__linux__)
#include <sched.h>
#endif

#include <mirnet/base/integer.hpp>
#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI {

/// Where a system tells about itself. Tests bring their own files.
struct SystemFiles {
  char const* root = "";                 ///< of /proc and /sys
  std::span<int const> processors = {};  ///< those that this process may run on; empty: ask the system
};

namespace detail {

/// A path in little memory. One that is too long is empty, and no file.
class SystemPath {
 public:
  template <class... Parts>
  explicit SystemPath(Parts... parts) noexcept {
    (append(parts), ...);
  }
  char const* c_str() const noexcept { return text_; }

 private:
  void append(std::string_view part) noexcept {
    if (part.empty()) return;
    if (part.size() >= sizeof text_ - size_) {
      size_ = sizeof text_ - 1;  // nothing fits behind it
      text_[0] = '\0';
      return;
    }
    std::memcpy(text_ + size_, part.data(), part.size());
    size_ += part.size();
    text_[size_] = '\0';
  }
  void append(int number) noexcept {
    char digits[16];
    std::snprintf(digits, sizeof digits, "%d", number);
    append(std::string_view(digits));
  }

  char text_[4096] = {};
  std::size_t size_ = 0;
};

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using SystemFile = std::unique_ptr<std::FILE, CloseFile>;

inline SystemFile open_system_file(SystemPath const& path) noexcept {
  return SystemFile(std::fopen(path.c_str(), "r"));
}

/// The numbers that a file begins with, as many as there are, up to the size of `numbers`; "max" is none.
inline std::size_t read_numbers(SystemPath const& path, std::span<long long> numbers) noexcept {
  SystemFile const file = open_system_file(path);
  std::size_t count = 0;
  while (file && count < numbers.size() && std::fscanf(file.get(), "%lld", &numbers[count]) == 1) ++count;
  return count;
}

/// body(folder) for this process's control group for a controller and for all groups around it, the innermost first.
template <class Body>
void each_control_group(char const* root, std::string_view controller, Body&& body) {
  SystemFile const file = open_system_file(SystemPath(root, "/proc/self/cgroup"));
  char text[4096];
  while (file && std::fgets(text, sizeof text, file.get()) != nullptr) {
    // "0::/path" is the unified hierarchy; "4:cpu,cpuacct:/path" one of version 1.
    std::string_view const line(text, std::strcspn(text, "\n"));
    auto const first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    std::string_view names = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    bool const unified = names.empty();
    bool found = unified;
    while (!found && !names.empty()) {
      auto const comma = (std::min)(names.find(','), names.size());
      found = names.substr(0, comma) == controller;
      names.remove_prefix((std::min)(comma + 1, names.size()));
    }
    if (!found) continue;
    SystemPath const mount(root, "/sys/fs/cgroup", unified ? "" : "/", unified ? std::string_view() : controller);
    // In a container, the path may be that of the host while the mount shows the container's group as its root.
    for (;; group = group.substr(0, group.rfind('/'))) {
      while (group.ends_with('/')) group.remove_suffix(1);
      body(SystemPath(mount.c_str(), group));
      if (group.empty() || group.rfind('/') == group.npos) break;
    }
  }
}

inline std::vector<int> allowed_processors() {
  std::vector<int> processors;
#if defined(__linux__)
  // More processors than cpu_set_t has bits for need a larger set.
  for (int count = CPU_SETSIZE; count <= 1 << 20; count *= 2) {
    std::size_t const bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(count));
    cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(count));
    if (set == nullptr) break;
    bool const told = ::sched_getaffinity(0, bytes, set) == 0;
    for (int i = 0; told && i < count; ++i) {
      if (CPU_ISSET_S(static_cast<std::size_t>(i), bytes, set)) processors.push_back(i);
    }
    CPU_FREE(set);
    if (told) break;
  }
#endif
  return processors;
}

}  // namespace detail

/// Cores that this process may use: those that it is allowed to run on, hardware threads of one core counted once, and
/// no more than the whole processors that a container's quota allows. At least 1. Where the system does not tell, its
/// hardware threads.
inline Index usable_cores(SystemFiles const& system = {}) {
  std::vector<int> own;
  if (system.processors.empty()) own = detail::allowed_processors();
  std::span<int const> const processors = system.processors.empty() ? own : system.processors;
  std::vector<std::pair<long long, long long>> cores;  // package and core
  for (int const processor : processors) {
    long long core = 0, package = 0;
    auto const number = [&](char const* name, long long& value) {
      detail::SystemPath const path(system.root, "/sys/devices/system/cpu/cpu", processor, "/topology/", name);
      return detail::read_numbers(path, {&value, 1}) == 1;
    };
    // Where nothing is told, each processor counts as a core.
    if (!number("core_id", core)) {
      package = -1, core = processor;
    } else if (!number("physical_package_id", package)) {
      package = 0;
    }
    cores.emplace_back(package, core);
  }
  std::sort(cores.begin(), cores.end());
  cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
  double usable =
      cores.empty() ? static_cast<double>(std::thread::hardware_concurrency()) : static_cast<double>(cores.size());
  detail::each_control_group(system.root, "cpu", [&](detail::SystemPath const& group) {
    long long quota[2] = {0, 0}, period[1] = {100000};
    if (detail::read_numbers(detail::SystemPath(group.c_str(), "/cpu.max"), quota) == 2 && quota[1] > 0) {
      usable = (std::min)(usable, static_cast<double>(quota[0]) / static_cast<double>(quota[1]));
      return;
    }
    detail::SystemPath const microseconds(group.c_str(), "/cpu.cfs_quota_us");
    if (detail::read_numbers(microseconds, std::span(quota).first(1)) == 1 && quota[0] > 0) {
      detail::read_numbers(detail::SystemPath(group.c_str(), "/cpu.cfs_period_us"), period);
      if (period[0] > 0) usable = (std::min)(usable, static_cast<double>(quota[0]) / static_cast<double>(period[0]));
    }
  });
  return std::max<Index>(1, static_cast<Index>(usable + 0.5));
}

}  // namespace mirnet::inline MIRNET_ABI
