// mirnet --licences: what the program is made of, in which versions and under which licences.
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}  // namespace CLI

namespace cli {

/// Adds --licences, which begins with what `version` says. Where it is added before --version, both together are
/// --licences.
void add_licences(CLI::App& program, std::function<std::string()> version);

}  // namespace cli
