// What the user's arguments ask for.
#pragma once

#include <memory>
#include <string>

#include "commands.hpp"

namespace cli {

/// All commands with their options, whose values live here too.
class CommandLine {
 public:
  CommandLine();
  ~CommandLine();

  struct Wish {
    Action action;        ///< of a command, or to print what --help or --version ask for; lives as long as this object
    std::string mistake;  ///< a sentence where the arguments are wrong; then there is no action
  };

  /// Reads the arguments and does nothing else. Options that are not given keep the values of an earlier call.
  Wish parse(int argc, char const* const* argv);

 private:
  std::unique_ptr<CLI::App> program_;
  Action chosen_;
};

}  // namespace cli
