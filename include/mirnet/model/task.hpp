// What a network was trained for, as weight files number it (weights/README.md).
#pragma once

#include <cstdint>

#include <mirnet/config.hpp>

namespace mirnet::inline MIRNET_ABI {

enum class Task : std::uint16_t { unspecified = 0, denoise = 1, brighten = 2, upscale = 3, deblur = 4, defocus = 5 };

/// The largest number of a task.
inline constexpr Task last_task = Task::defocus;

/// The task's name in weights/convert.py; "unknown" for a number that no task has.
constexpr char const* name_of(Task task) noexcept {
  switch (task) {
    case Task::unspecified: return "unspecified";
    case Task::denoise: return "denoise";
    case Task::brighten: return "brighten";
    case Task::upscale: return "upscale";
    case Task::deblur: return "deblur";
    case Task::defocus: return "defocus";
  }
  return "unknown";
}

}  // namespace mirnet::inline MIRNET_ABI
