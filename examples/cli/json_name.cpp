#include "json_name.hpp"

#include <string_view>

#include <nlohmann/json.hpp>

namespace cli {
namespace {

bool is_utf8(std::string const& text) {
  try {
    static_cast<void>(nlohmann::json(text).dump());
  } catch (nlohmann::json::type_error const&) {
    return false;
  }
  return true;
}

}  // namespace

void put_name(nlohmann::ordered_json& object, std::string const& key, std::string const& name) {
  object[key] = name;
  if (is_utf8(name)) return;
  std::string bytes;
  for (char const c : name) {
    constexpr std::string_view digits = "0123456789abcdef";
    auto const byte = static_cast<unsigned char>(c);
    bytes += {digits[byte >> 4], digits[byte & 15]};
  }
  object[key + "_bytes"] = bytes;
}

}  // namespace cli
