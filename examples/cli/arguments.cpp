#include "arguments.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "commands.hpp"

namespace cli {
namespace {

/// A check that says nothing in --help. `mistake` gives a sentence, or nothing where the value is right.
template <class Mistake>
CLI::Validator check(Mistake mistake) {
  return {[mistake = std::move(mistake)](std::string& value) { return mistake(value); }, ""};
}

std::string out_of_range(std::string const& least, std::string const& most, std::string const& found) {
  return "must be between " + least + " and " + most + ", not \"" + found + '"';
}

}  // namespace

CLI::Validator number_between(double least, double most) {
  return check([=](std::string const& text) {
    char* end = nullptr;
    double const value = std::strtod(text.c_str(), &end);
    bool const fits = !text.empty() && *end == '\0' && value >= least && value <= most;
    return fits ? std::string() : out_of_range(format("%g", least), format("%g", most), text);
  });
}

CLI::Validator whole_number_between(long long least, long long most) {
  return check([=](std::string const& text) {
    long long value = 0;
    auto const* const last = text.data() + text.size();
    auto const [end, error] = std::from_chars(text.data(), last, value);
    bool const fits = error == std::errc() && end == last && value >= least && value <= most;
    return fits ? std::string() : out_of_range(std::to_string(least), std::to_string(most), text);
  });
}

void take_one_of(CLI::Option& option, std::vector<std::string> const& words) {
  std::string names;
  for (auto const& word : words) names += (names.empty() ? "" : "|") + word;
  option.type_name(names)->check(check([words](std::string const& text) {
    bool const known = std::find(words.begin(), words.end(), text) != words.end();
    return known ? std::string() : "must be " + listed(words) + ", not \"" + text + '"';
  }));
}

std::vector<std::string> words_of(CLI::Option const& option) {
  auto const type = option.get_type_name();
  if (type.find('|') == std::string::npos) return {};
  std::vector<std::string> words;
  std::istringstream all(type);
  for (std::string word; std::getline(all, word, '|');) {
    bool const placeholder = std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (!placeholder) words.push_back(word);
  }
  return words;
}

CLI::Option* find_option(CLI::App const& command, std::string_view name) {
  bool const is_long = name.starts_with("--");
  if (!name.starts_with('-') || name.size() < (is_long ? 3 : 2)) return nullptr;
  auto const plain = name.substr(is_long ? 2 : 1);
  for (auto const* option : command.get_options()) {
    auto const& names = is_long ? option->get_lnames() : option->get_snames();
    // Constant because the command is: both are the caller's to change.
    if (std::find(names.begin(), names.end(), plain) != names.end()) return const_cast<CLI::Option*>(option);
  }
  return nullptr;
}

std::string listed(std::vector<std::string> const& words, char const* last) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 < words.size() ? ", " : std::string(" ") + last + " ";
    text += words[i];
  }
  return text;
}

}  // namespace cli
