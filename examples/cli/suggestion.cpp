#include "suggestion.hpp"

#include <algorithm>
#include <cstddef>

namespace cli {
namespace {

/// Optimal string alignment distance (Damerau, 1964, without changing a place twice).
std::size_t distance(std::string_view a, std::string_view b) {
  // Rows of the table: for prefixes of `a` with two letters less, one less, and now.
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      bool const exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (exchanged) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, std::vector<std::string> const& candidates) {
  std::string best;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (auto const& candidate : candidates) {
    // The beginning of a long word counts as near.
    bool const begins = word.size() >= 4 && std::string_view(candidate).starts_with(word);
    auto const [shorter, longer] = std::minmax({word.size(), candidate.size()});
    if (!begins && longer - shorter >= least) continue;  // they are at least so far apart
    auto const apart = begins ? 1 : distance(word, candidate);
    if (apart < least) {
      least = apart;
      best = candidate;
    }
  }
  return best;
}

}  // namespace cli
