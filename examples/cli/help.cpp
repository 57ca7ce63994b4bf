#include "help.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include <mirnet/version.hpp>

#include "arguments.hpp"
#include "system.hpp"

extern "C" char const mirnet_manual[], mirnet_manual_end[];  // share/mirnet.1.in

namespace cli {
namespace {

using Apps = std::vector<CLI::App const*>;

Apps commands_of(CLI::App const& program) {
  return program.get_subcommands([](CLI::App const* command) { return !command->get_group().empty(); });
}

std::vector<CLI::Option const*> options_of(CLI::App const& app, bool positional) {
  return app.get_options([=](CLI::Option const* option) {
    return option->get_positional() == positional && (positional || !option->get_group().empty());
  });
}

bool takes_value(CLI::Option const& option) { return option.get_items_expected_max() > 0; }

/// "-o", "--output": short names first.
std::vector<std::string> names_of(CLI::Option const& option) {
  std::vector<std::string> names;
  for (auto const& name : option.get_snames()) names.push_back("-" + name);
  for (auto const& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string joined(std::vector<std::string> const& parts, char const* between) {
  std::string text;
  for (auto const& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

/// "-o, --output PATH".
std::string heading_of(CLI::Option const& option) {
  if (option.get_positional()) return option.get_name(true) + (option.get_items_expected_max() > 1 ? "..." : "");
  return joined(names_of(option), ", ") + (takes_value(option) ? " " + option.get_type_name() : "");
}

/// Lines of at most so many columns. A word that is longer is not cut, but an alternative of a|b|c may begin a line.
std::vector<std::string> wrapped(std::string const& text, int columns) {
  std::vector<std::string> lines(1);
  std::istringstream words(text);
  auto const most = static_cast<std::size_t>(std::max(columns, 10));
  for (std::string word; words >> word;) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > most) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    while (lines.back().size() + word.size() > most) {
      auto const room = most - lines.back().size();
      auto const cut = word.rfind('|', room > 0 ? room - 1 : 0);
      if (cut == std::string::npos) break;
      lines.back() += word.substr(0, cut + 1);
      word = word.substr(cut + 1);
      lines.emplace_back();
    }
    lines.back() += word;
  }
  return lines;
}

/// An entry of a list: a heading, and what it means beside or below it.
void put_entry(std::string& text, std::string const& heading, std::string const& meaning, int columns) {
  constexpr int usual_indent = 22, narrow = 60;
  bool const is_narrow = columns < narrow;
  int const indent = is_narrow ? 6 : usual_indent;
  auto const heads = wrapped(heading, columns - 2);
  for (std::size_t i = 0; i < heads.size(); ++i) text += (i == 0 ? "  " : "\n      ") + heads[i];
  auto const width = static_cast<int>(2 + heads.back().size());
  auto const lines = wrapped(meaning, columns - indent);
  bool const beside = !is_narrow && heads.size() == 1 && width + 2 <= indent;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    text += i == 0 && beside ? std::string(static_cast<std::size_t>(indent - width), ' ')
                             : "\n" + std::string(static_cast<std::size_t>(indent), ' ');
    text += lines[i];
  }
  text += '\n';
}

std::string usage_of(CLI::App const& app) {
  std::string usage =
      app.get_parent() == nullptr ? app.get_name() : app.get_parent()->get_name() + " " + app.get_name();
  usage += commands_of(app).empty() ? " [OPTIONS]" : " COMMAND [OPTIONS]";
  for (auto const* argument : options_of(app, true)) {
    auto const name = heading_of(*argument);
    usage += argument->get_required() ? " " + name : " [" + name + "]";
  }
  return usage;
}

int terminal_width() {
  auto const columns = terminal_columns(1);
  return columns ? std::clamp(*columns, 30, 100) : 80;
}

class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(CLI::App const* app, std::string, CLI::AppFormatMode) const override {
    return help_text(*app, terminal_width());
  }
};

// --- The manual page -------------------------------------------------------------------------------------------------

/// Text for troff: hyphens that are to be typed, and no line that looks like a request.
std::string roff(std::string const& text) {
  std::string result;
  for (char const c : text) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  if (result.starts_with('.') || result.starts_with('\'')) result = "\\&" + result;
  return result;
}

void put_manual_options(std::string& text, std::vector<CLI::Option const*> const& options) {
  for (auto const* option : options) {
    std::vector<std::string> names;
    for (auto const& name : names_of(*option)) names.push_back("\\fB" + roff(name) + "\\fR");
    text += ".TP\n" + joined(names, ", ");
    if (takes_value(*option)) text += " \\fI" + roff(option->get_type_name()) + "\\fR";
    text += "\n" + roff(joined(wrapped(option->get_description(), 100), "\n")) + "\n";
  }
}

std::string manual_options(CLI::App const& program) {
  std::string text;
  for (auto const* command : commands_of(program)) {
    text += ".SS mirnet " + command->get_name() + "\n" + roff(command->get_description()) + ".\n";
    put_manual_options(text, options_of(*command, false));
  }
  text += ".SS Without a command\n";
  put_manual_options(text, options_of(program, false));
  return text;
}

/// The page, from a template that has `mark` where the options go.
std::string manual(CLI::App const& program) {
  std::string page(mirnet_manual, mirnet_manual_end);
  for (auto const& [mark, value] : {std::pair<std::string_view, std::string>("@OPTIONS@\n", manual_options(program)),
                                    std::pair<std::string_view, std::string>("@VERSION@", MIRNET_VERSION)}) {
    if (auto const at = page.find(mark); at != std::string::npos) page.replace(at, mark.size(), value);
  }
  return page;
}

// --- Completions -----------------------------------------------------------------------------------------------------

/// What stands behind an option: words, a folder, a file, or what nobody can complete.
enum class Values { none, words, folder, file, free };

Values values_of(CLI::Option const& option) {
  if (!takes_value(option)) return Values::none;
  if (!words_of(option).empty()) return Values::words;
  auto const type = option.get_type_name();
  if (type == "DIR") return Values::folder;
  return type.starts_with("FILE") || type == "PATH" ? Values::file : Values::free;
}

/// A description up to where details begin, for menus.
std::string short_meaning(CLI::Option const& option) {
  auto const& whole = option.get_description();
  return whole.substr(0, whole.find_first_of(";(,:"));
}

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::vector<std::string> all_names(CLI::App const& app) {
  std::vector<std::string> names;
  for (auto const* option : options_of(app, false)) {
    for (auto const& name : names_of(*option)) names.push_back(name);
  }
  return names;
}

std::vector<std::string> command_names(CLI::App const& program) {
  std::vector<std::string> names;
  for (auto const* command : commands_of(program)) names.push_back(command->get_name());
  return names;
}

std::string bash_completion(CLI::App const& program) {
  std::string text =
      "# Completion of the program mirnet for bash, generated by \"mirnet --generate complete-bash\".\n"
      "_mirnet() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} options\n"
      "  COMPREPLY=()\n"
      "  case $command,$before in\n";
  for (auto const* command : commands_of(program)) {
    for (auto const* option : options_of(*command, false)) {
      auto const values = values_of(*option);
      if (values == Values::none || values == Values::file) continue;
      std::vector<std::string> patterns;
      for (auto const& name : names_of(*option)) patterns.push_back(command->get_name() + "," + name);
      text += "    " + joined(patterns, " | ") + ") ";
      if (values == Values::words) {
        text += "COMPREPLY=($(compgen -W '" + joined(words_of(*option), " ") + "' -- \"$word\")) && ";
      } else if (values == Values::folder) {
        text += "COMPREPLY=($(compgen -d -- \"$word\")) && ";
      }
      text += "return ;;\n";
    }
  }
  text += "  esac\n  case $command in\n";
  for (auto const* command : commands_of(program)) {
    text += "    " + command->get_name() + ") options='" + joined(all_names(*command), " ") + "' ;;\n";
  }
  text += "    *) options='" + joined(all_names(program), " ") + "' ;;\n  esac\n";
  text += "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W '" + joined(command_names(program), " ") +
          " '\"$options\" -- \"$word\"))\n    return\n  fi\n";
  text += "  case $word in\n    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n  esac\n}\n";
  return text + "complete -o default -o bashdefault -F _mirnet mirnet\n";
}

/// For words in single quotes of zsh's _arguments and of fish.
std::string quotable(std::string const& text, std::string_view escaped) {
  std::string result;
  for (char const c : text) {
    if (c == '\'') continue;
    if (escaped.find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

std::string zsh_option(CLI::Option const& option) {
  auto const names = names_of(option);
  auto const excluded = names.size() > 1 ? "(" + joined(names, " ") + ")" : std::string();
  std::string value;
  auto const type = quotable(option.get_type_name(), ":[]");
  switch (values_of(option)) {
    case Values::none: break;
    case Values::words: value = ":value:(" + joined(words_of(option), " ") + ")"; break;
    case Values::folder: value = ":folder:_files -/"; break;
    case Values::file: value = ":file:_files"; break;
    case Values::free: value = ":" + type + ":"; break;
  }
  auto const meaning = "[" + quotable(trimmed(short_meaning(option)), "[]:") + "]" + value;
  if (names.size() == 1) return "'" + names.front() + meaning + "'";
  return "'" + excluded + "'{" + joined(names, ",") + "}'" + meaning + "'";
}

std::string zsh_options(CLI::App const& app, std::string const& indent) {
  std::string text;
  for (auto const* option : options_of(app, false)) text += " \\\n" + indent + zsh_option(*option);
  return text;
}

std::string zsh_completion(CLI::App const& program) {
  std::string text =
      "#compdef mirnet\n"
      "# Completion of the program mirnet for zsh, generated by \"mirnet --generate complete-zsh\".\n"
      "_mirnet() {\n  local curcontext=$curcontext state line\n  _arguments -C" +
      zsh_options(program, "    ") +
      " \\\n    '1:command:->command' '*::argument:->argument'\n"
      "  case $state in\n    command)\n      _values command";
  for (auto const* command : commands_of(program)) {
    text += " \\\n        '" + command->get_name() + "[" + quotable(command->get_description(), "[]:") + "]'";
  }
  text += "\n      _files\n      ;;\n    argument)\n      case $line[1] in\n";
  for (auto const* command : commands_of(program)) {
    text += "        " + command->get_name() + ")\n          _arguments" + zsh_options(*command, "            ") +
            " \\\n            '*:file:_files'\n          ;;\n";
  }
  return text + "      esac\n      ;;\n  esac\n}\n_mirnet \"$@\"\n";
}

std::string fish_option(CLI::Option const& option, std::string const& condition) {
  std::string text = "complete -c mirnet -n \"" + condition + "\"";
  for (auto const& name : option.get_snames()) text += " -s " + name;
  for (auto const& name : option.get_lnames()) text += " -l " + name;
  switch (values_of(option)) {
    case Values::none: break;
    case Values::words: text += " -xa '" + joined(words_of(option), " ") + "'"; break;
    case Values::folder: text += " -xa '(__fish_complete_directories)'"; break;
    case Values::file: text += " -r"; break;
    case Values::free: text += " -x"; break;
  }
  return text + " -d '" + quotable(trimmed(short_meaning(option)), "") + "'\n";
}

std::string fish_completion(CLI::App const& program) {
  auto const none = "not __fish_seen_subcommand_from " + joined(command_names(program), " ");
  std::string text = "# Completion of the program mirnet for fish, generated by \"mirnet --generate complete-fish\".\n";
  for (auto const* command : commands_of(program)) {
    text += "complete -c mirnet -n \"" + none + "\" -a " + command->get_name() + " -d '" +
            quotable(command->get_description(), "") + "'\n";
  }
  for (auto const* option : options_of(program, false)) text += fish_option(*option, none);
  for (auto const* command : commands_of(program)) {
    for (auto const* option : options_of(*command, false)) {
      text += fish_option(*option, "__fish_seen_subcommand_from " + command->get_name());
    }
  }
  return text;
}

}  // namespace

std::string help_text(CLI::App const& app, int columns) {
  std::string text = joined(wrapped(app.get_description(), columns), "\n") + "\n\nUsage: " + usage_of(app) + "\n";
  if (auto const arguments = options_of(app, true); !arguments.empty()) {
    text += "\nArguments:\n";
    for (auto const* argument : arguments) {
      put_entry(text, heading_of(*argument), argument->get_description(), columns);
    }
  }
  if (auto const commands = commands_of(app); !commands.empty()) {
    text += "\nCommands:\n";
    for (auto const* command : commands) put_entry(text, command->get_name(), command->get_description(), columns);
  }
  auto const options = options_of(app, false);
  std::vector<std::string> groups;  // in the order of the options, the general ones last
  for (auto const* option : options) {
    auto const& group = option->get_group();
    if (group != "Options" && std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
  }
  groups.emplace_back("Options");
  for (auto const& group : groups) {
    text += "\n" + group + ":\n";
    for (auto const* option : options) {
      if (option->get_group() == group) put_entry(text, heading_of(*option), option->get_description(), columns);
    }
  }
  if (!app.get_footer().empty()) text += "\n" + joined(wrapped(app.get_footer(), columns), "\n") + "\n";
  return text;
}

std::shared_ptr<CLI::FormatterBase> help_formatter() { return std::make_shared<HelpFormatter>(); }

std::vector<std::string> generated_kinds() { return {"man", "complete-bash", "complete-zsh", "complete-fish"}; }

std::string generated(CLI::App const& program, std::string const& kind) {
  if (kind == "man") return manual(program);
  if (kind == "complete-bash") return bash_completion(program);
  if (kind == "complete-zsh") return zsh_completion(program);
  return fish_completion(program);
}

}  // namespace cli
