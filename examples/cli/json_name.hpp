// Names of files in JSON, which is UTF-8: names need not be.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace cli {

/// Sets object[key] to a name. Where that is not UTF-8, object[key + "_bytes"] has all of its bytes, two hexadecimal
/// digits each, and what is shown has U+FFFD in the place of those that are wrong.
void put_name(nlohmann::ordered_json& object, std::string const& key, std::string const& name);

}  // namespace cli
