// What a user may have meant by a word that does not exist.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cli {

/// The candidate that differs least from the word, by letters that are missing, added, replaced or exchanged with their
/// neighbour; empty where none is near.
std::string nearest(std::string_view word, std::vector<std::string> const& candidates);

}  // namespace cli
