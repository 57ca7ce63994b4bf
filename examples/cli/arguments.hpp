// Values of options: checks with error messages that say what was found and what was expected, and lists of words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace cli {

/// A number in a closed range.
CLI::Validator number_between(double least, double most);
CLI::Validator whole_number_between(long long least, long long most);

/// One of these words. The option is shown as "--name a|b|c".
void take_one_of(CLI::Option& option, std::vector<std::string> const& words);

/// What an option takes according to its type name, "a|b|N": the words, without placeholders in capital letters.
std::vector<std::string> words_of(CLI::Option const& option);

/// The option of a command that has this name, "-o" or "--output"; null where there is none. CLI11's own functions take
/// memory and promise not to throw: without memory they would end the program.
CLI::Option* find_option(CLI::App const& command, std::string_view name);

/// "a, b or c".
std::string listed(std::vector<std::string> const& words, char const* last = "or");

}  // namespace cli
