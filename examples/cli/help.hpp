// What --help prints, and what is generated from the options: the manual page and the completions of shells.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace cli {

/// The help of a command, or of the program, for a terminal of so many columns.
std::string help_text(CLI::App const& app, int columns);

/// A formatter that prints it: as wide as the terminal, up to 100 columns; 80 where there is none.
std::shared_ptr<CLI::FormatterBase> help_formatter();

/// What `mirnet --generate KIND` knows: "man", "complete-bash", "complete-zsh" and "complete-fish".
std::vector<std::string> generated_kinds();

/// One of them, for the program and all of its commands.
std::string generated(CLI::App const& program, std::string const& kind);

}  // namespace cli
