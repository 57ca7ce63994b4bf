// What this process may use of the machine: processors and memory, a container's limits counted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <mirnet/base/integer.hpp>

namespace cli {

/// Where a system tells about itself. Tests bring their own files.
struct SystemFiles {
  std::filesystem::path root = "/";
  /// The processors that this process may run on. Empty: those of the real system.
  std::vector<int> processors = {};

  /// What stands in front of /proc.
  std::string prefix() const { return root == "/" ? std::string() : root.string(); }
};

/// mirnet::usable_cores of these files.
mirnet::Index usable_cores(SystemFiles const& system = {});

/// Bytes that can be had without taking them from others: what the system says is available, or what a container's
/// limit leaves, if that is less. Nothing where the system does not tell.
std::optional<double> available_memory(SystemFiles const& system = {});

/// The largest memory that this process has held, in bytes. Nothing where the system does not tell.
std::optional<double> peak_memory(SystemFiles const& system = {});

/// The memory that it holds now.
std::optional<double> used_memory(SystemFiles const& system = {});

/// The addresses that it has taken, in bytes, whether or not there is memory behind them.
std::optional<double> mapped_memory(SystemFiles const& system = {});

/// Bytes of the largest cache that processor 0 uses; 0 where the system does not tell.
double largest_cache(SystemFiles const& system = {});

/// What the system calls the processor; "unknown processor" where it does not tell.
std::string processor_name(SystemFiles const& system = {});

}  // namespace cli
