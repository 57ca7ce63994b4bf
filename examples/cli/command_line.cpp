#include "command_line.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <sstream>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/version.hpp>

#include "arguments.hpp"
#include "decoder.hpp"
#include "help.hpp"
#include "licences.hpp"
#include "naming.hpp"
#include "picture.hpp"
#include "suggestion.hpp"
#include "task.hpp"

namespace cli {
namespace {

std::string version() {
  auto const kernels = mirnet::choose_kernels();
  return std::string("mirnet " MIRNET_VERSION " (") + (kernels ? (*kernels)->isa : "no instruction set") + ")";
}

/// "; did you mean --threads?" for the first argument that names an option or a command that does not exist.
std::string did_you_mean(CLI::App const& program, std::vector<std::string> const& arguments) {
  auto const commands = program.get_subcommands();
  CLI::App const& app = commands.empty() ? program : *commands.front();
  std::vector<std::string> names;
  for (auto const* option : app.get_options()) {
    for (auto const& name : option->get_lnames()) names.push_back("--" + name);
  }
  if (commands.empty()) {
    for (auto const* command : program.get_subcommands([](CLI::App const*) { return true; })) {
      names.push_back(command->get_name());
    }
  }
  for (std::string_view const argument : arguments) {
    auto const word = argument.substr(0, argument.find('='));
    bool const could_be_a_name = (word.starts_with("--") || commands.empty()) && word != "help";
    if (!could_be_a_name || word == "--" || std::find(names.begin(), names.end(), word) != names.end()) continue;
    if (auto const name = nearest(word, names); !name.empty()) return "; did you mean " + name + "?";
  }
  return {};
}

/// What the user may say in other words: "help" and "help denoise" for --help, "-v" for --version, and a photograph
/// without a command for "denoise".
std::vector<std::string> with_a_command(CLI::App const& program, int argc, char const* const* argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  if (arguments.empty()) return arguments;
  auto const& first = arguments.front();
  auto const is_command = [&](std::string const& name) {
    return !program.get_subcommands([&](CLI::App const* app) { return app->check_name(name); }).empty();
  };
  if (first == "help") {
    if (arguments.size() == 1) return {"--help"};
    return is_command(arguments[1]) ? std::vector<std::string>{arguments[1], "--help"} : arguments;
  }
  bool const is_option = first.size() > 1 && first.starts_with('-');
  if (is_option) {  // "mirnet --preview photo.jpg"
    auto const name = first.substr(0, first.find('='));
    auto const* const denoise = program.get_subcommand(denoise_task.verb);
    if (find_option(*denoise, name) != nullptr && find_option(program, name) == nullptr)
      arguments.insert(arguments.begin(), "denoise");
    return arguments;
  }
  bool const is_picture =
      first == standard_stream || names_folder(first) || format_named(extension_of(first)) != nullptr || exists(first);
  if (!is_command(first) && is_picture) arguments.insert(arguments.begin(), "denoise");
  return arguments;
}

/// The arguments, the last one first as CLI11 wants them. Two of them have a meaning of their own there, and are
/// spelled so that they have none: "++" is the name of a file, and "--suffix=" has an empty value, not the argument
/// behind it.
std::vector<std::string> plain_arguments(CLI::App const& program, std::vector<std::string> const& given) {
  std::vector<std::string> arguments;
  CLI::App const* command = nullptr;
  bool is_value = false;
  for (auto const& argument : given) {
    if (command == nullptr) {
      auto const found = program.get_subcommands([&](CLI::App const* app) { return app->check_name(argument); });
      if (!found.empty()) command = found.front();
      arguments.push_back(argument);
      continue;
    }
    bool const ends_in_equals = argument.ends_with('=') && argument.starts_with("--");
    auto const name = ends_in_equals ? argument.substr(0, argument.size() - 1) : argument;
    auto const* const option = is_value ? nullptr : find_option(*command, name);
    bool const takes_value = option != nullptr && option->get_items_expected_max() > 0;
    if (takes_value && ends_in_equals) {
      arguments.insert(arguments.end(), {name, ""});
    } else {
      arguments.push_back(argument == "++" && !is_value ? "./++" : argument);
    }
    is_value = takes_value && !ends_in_equals;
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

/// CLI11's sentence, or one that says the same more plainly: of "--strength: 1 required X missing".
std::string plain_mistake(CLI::ParseError const& error) {
  std::string const sentence = error.what();
  if (dynamic_cast<CLI::ArgumentMismatch const*>(&error) != nullptr) {
    auto const end = sentence.find(": 1 required ");
    auto const last = sentence.rfind(" missing");
    if (end != std::string::npos && last != std::string::npos) {
      auto const type = end + std::string_view(": 1 required ").size();
      return sentence.substr(0, end) + " needs a value, " + sentence.substr(type, last - type);
    }
  }
  bool const required = dynamic_cast<CLI::RequiredError const*>(&error) != nullptr;
  if (required && sentence.starts_with("FILES ")) return "missing input: name a photograph or a folder";
  return sentence;
}

/// A sentence on what was not understood, in the order in which it was given.
std::string unknown_arguments(CLI::App const& program) {
  auto const commands = program.get_subcommands();
  auto const rest = (commands.empty() ? program : *commands.front()).remaining();
  if (commands.empty()) {
    if (rest.size() > 1 && rest.front() == "help") return "\"" + rest[1] + "\" is no command";
    return rest.empty() ? "unknown argument" : "\"" + rest.front() + "\" is no command and no photograph";
  }
  std::string names;
  for (auto const& argument : rest) names += (names.empty() ? "" : " ") + argument;
  return (rest.size() == 1 ? "unknown argument " : "unknown arguments ") + names;
}

}  // namespace

CommandLine::CommandLine()
    : program_(std::make_unique<CLI::App>(
          "Remove noise from photographs with the neural networks MIRNet and MIRNet-v2, on the CPU.", "mirnet")) {
  program_->formatter(help_formatter());         // which commands inherit
  program_->allow_windows_style_options(false);  // "/photos" is a folder on any system
  program_->set_help_flag("-h,--help", "print this help");
  add_licences(*program_, version);
  program_->set_version_flag("-v,--version", version, "print the version and the instruction set in use");
  auto* const kind = program_->add_option_function<std::string>(
      "--generate", [this](std::string const& name) { throw CLI::CallForVersion(generated(*program_, name), 0); },
      "print the manual page, or completions for a shell");
  take_one_of(*kind, generated_kinds());
  program_->require_subcommand(0, 1);
  add_denoise(*program_, chosen_);
  add_info(*program_, chosen_);
  add_compare(*program_, chosen_);
  add_bench(*program_, chosen_);
  add_profile(*program_, chosen_);
  // At last: commands would inherit it.
  program_->footer(
      "A photograph as the first argument is denoised. Examples: mirnet photo.jpg; mirnet denoise -r photos -o clean/; "
      "mirnet photo.jpg --preview");
}

CommandLine::~CommandLine() = default;

CommandLine::Wish CommandLine::parse(int argc, char const* const* argv) {
  chosen_ = nullptr;
  auto const arguments = with_a_command(*program_, argc, argv);
  try {
    program_->parse(plain_arguments(*program_, arguments));
  } catch (CLI::Success const& help_or_version) {
    std::ostringstream text;
    program_->exit(help_or_version, text);
    auto const print = [text = text.str()] {
      std::fputs(text.c_str(), stdout);
      return mirnet::Result<void>();
    };
    return {print, {}};
  } catch (CLI::ParseError const& error) {
    auto const commands = program_->get_subcommands();
    auto const help = "; see mirnet " + (commands.empty() ? "" : commands.front()->get_name() + " ") + "--help";
    bool const unknown = dynamic_cast<CLI::ExtrasError const*>(&error) != nullptr;
    if (!unknown) return {nullptr, plain_mistake(error) + help};
    auto const hint = did_you_mean(*program_, arguments);
    return {nullptr, unknown_arguments(*program_) + (hint.empty() ? help : hint)};
  }
  if (!chosen_) return {nullptr, "missing command or photograph; see mirnet --help"};
  return {chosen_, {}};
}

std::string format(char const* pattern, ...) {
  char line[1024];
  std::va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(line, sizeof line, pattern, arguments);
  va_end(arguments);
  return line;
}

std::string one_line(std::string message) {
  unsigned char before = 0;
  for (std::size_t i = 0; i < message.size(); ++i) {
    auto const byte = static_cast<unsigned char>(message[i]);
    if (byte < 32 || byte == 127) message[i] = ' ';
    // U+0080 to U+009F are controls, too: two bytes in UTF-8.
    if (before == 0xC2 && byte >= 0x80 && byte < 0xA0) message[i - 1] = message[i] = ' ';
    before = byte;
  }
  return message;
}

void print_error(std::string const& message) { std::fprintf(stderr, "mirnet: %s\n", one_line(message).c_str()); }

void print_warnings(std::string const& file, std::vector<std::string> const& sentences) {
  for (auto const& sentence : sentences) {
    std::fprintf(stderr, "mirnet: warning: %s\n", one_line(file + ": " + sentence).c_str());
  }
}

void add_threads(CLI::App& command, mirnet::Index& threads) {
  command.add_option("--threads", threads, "number of threads, 1-1024 (default: one per available core)")
      ->check(whole_number_between(1, 1024))
      ->type_name("N");
}

void add_reading(CLI::App& command, Reading& reading) {
  CLI::AsNumberWithUnit units(
      std::map<std::string, mirnet::Index>{{"k", 1'000}, {"M", 1'000'000}, {"G", 1'000'000'000}});
  CLI::Range countable(mirnet::Index{1}, mirnet::Index{1} << 40);
  command
      .add_option("--max-pixels", reading.max_pixels,
                  "refuse photographs with more pixels than this, such as 100M, before decoding (default: 500M)")
      ->transform(units.description(""))
      ->check(countable.description(""))
      ->type_name("N");
  command.add_flag("--no-sandbox", reading.no_sandbox,
                   can_decode_apart ? "decode photographs without the security sandbox"
                                    : "changes nothing here: there is no sandbox on this system");
}

}  // namespace cli
