#include <algorithm>
#include <bit>
#include <cstring>
#include <thread>
#include <vector>

#include <windows.h>

#include <psapi.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "machine.hpp"

namespace cli {
namespace {

using ProcessorInformation = SYSTEM_LOGICAL_PROCESSOR_INFORMATION;

/// Cores and caches, of the first 64 processors.
std::vector<ProcessorInformation> processor_information() {
  DWORD bytes = 0;
  ::GetLogicalProcessorInformation(nullptr, &bytes);
  std::vector<ProcessorInformation> all(bytes / sizeof(ProcessorInformation));
  if (all.empty() || ::GetLogicalProcessorInformation(all.data(), &bytes) == 0) return {};
  return all;
}

std::optional<PROCESS_MEMORY_COUNTERS> memory_counters() {
  PROCESS_MEMORY_COUNTERS counters{};
  if (::GetProcessMemoryInfo(::GetCurrentProcess(), &counters, sizeof counters) == 0) return {};
  return counters;
}

}  // namespace

mirnet::Index usable_cores(SystemFiles const&) {
  DWORD_PTR own = 0, all = 0;
  mirnet::Index cores = 0;
  if (::GetProcessAffinityMask(::GetCurrentProcess(), &own, &all) != 0 && own != 0) {
    for (auto const& part : processor_information()) {
      cores += part.Relationship == RelationProcessorCore && (part.ProcessorMask & own) != 0;
    }
  }
  return cores > 0 ? cores : std::max<mirnet::Index>(1, std::thread::hardware_concurrency());
}

std::optional<double> available_memory(SystemFiles const&) {
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  if (::GlobalMemoryStatusEx(&status) == 0) return {};
  // What may be committed can be less than what is free.
  return static_cast<double>(std::min(status.ullAvailPhys, status.ullAvailPageFile));
}

std::optional<double> peak_memory(SystemFiles const&) {
  auto const counters = memory_counters();
  return counters ? std::optional(static_cast<double>(counters->PeakWorkingSetSize)) : std::nullopt;
}

std::optional<double> used_memory(SystemFiles const&) {
  auto const counters = memory_counters();
  return counters ? std::optional(static_cast<double>(counters->WorkingSetSize)) : std::nullopt;
}

std::optional<double> mapped_memory(SystemFiles const&) { return {}; }

double largest_cache(SystemFiles const&) {
  double largest = 0;
  for (auto const& part : processor_information()) {
    if (part.Relationship != RelationCache || (part.ProcessorMask & 1) == 0) continue;
    largest = std::max(largest, static_cast<double>(part.Cache.Size));
  }
  return largest;
}

std::string processor_name(SystemFiles const&) {
#if defined(__x86_64__) || defined(__i386__)
  unsigned words[12] = {};
  bool known = true;
  for (unsigned i = 0; i < 3; ++i) {
    unsigned* const part = words + 4 * i;
    known = known && ::__get_cpuid(0x80000002 + i, part, part + 1, part + 2, part + 3) != 0;
  }
  if (known) {
    char name[sizeof words + 1] = {};
    std::memcpy(name, words, sizeof words);
    std::string text = name;
    text.erase(text.find_last_not_of(' ') + 1);
    return text.substr(std::min(text.find_first_not_of(' '), text.size()));
  }
#endif
  return "unknown processor";
}

}  // namespace cli
