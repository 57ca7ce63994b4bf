// What makes a network the one that it is, by name, for reports.
#pragma once

#include <string>
#include <vector>

#include <mirnet/base/integer.hpp>

namespace cli {

struct HyperParameter {
  char const* name;  ///< a key of JSON, too: small letters, and _ between words
  mirnet::Index value;
  bool is_switch = false;  ///< 0 or 1, which people read as no and yes
};

using HyperParameters = std::vector<HyperParameter>;

/// The value, for people.
inline std::string text(HyperParameter const& parameter) {
  if (parameter.is_switch) return parameter.value == 0 ? "no" : "yes";
  return std::to_string(parameter.value);
}

}  // namespace cli
