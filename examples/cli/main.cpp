// The program mirnet. Results go to the standard output; an error is one line on the standard error and an exit code:
// 0 done, 1 a defect of the program, 2 wrong usage, 3 an input, 4 a weight file, 5 memory, 6 a figure that
// is not reached, 7 some of several pictures, 8 an output, 130 stopped by the user.
#include <algorithm>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include <CLI/CLI.hpp>

#include <mirnet/version.hpp>

#include "commands.hpp"
#include "decoder.hpp"
#include "instruction_sets.hpp"
#include "licences.hpp"
#include "progress.hpp"
#include "suggestion.hpp"
#include "weights.hpp"

namespace cli {

std::string format(char const* pattern, ...) {
  char line[1024];
  std::va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(line, sizeof line, pattern, arguments);
  va_end(arguments);
  return line;
}

std::string one_line(std::string message) {
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
  }
  return message;
}

void print_error(std::string const& message) { std::fprintf(stderr, "mirnet: %s\n", one_line(message).c_str()); }

void add_threads(CLI::App& command, mirnet::Index& threads) {
  command
      .add_option("--threads", threads,
                  "Threads to use, 1 to 1024; without it, one for each core that this process may use")
      ->check(CLI::Range(mirnet::Index{1}, mirnet::Index{1024}))
      ->type_name("N");
}

void add_reading(CLI::App& command, Reading& reading) {
  CLI::AsNumberWithUnit units(
      std::map<std::string, mirnet::Index>{{"k", 1'000}, {"M", 1'000'000}, {"G", 1'000'000'000}});
  CLI::Range countable(mirnet::Index{1}, mirnet::Index{1} << 40);
  command
      .add_option("--max-pixels", reading.max_pixels,
                  "Refuse photographs of more pixels, as in 100M, before they are decoded; without it, 500M")
      ->transform(units.description(""))
      ->check(countable.description(""))
      ->type_name("N");
  command.add_flag("--no-sandbox", reading.no_sandbox,
                   "Decode photographs in this process, not in one that may do nothing else");
}

}  // namespace cli

namespace {

int fail(mirnet::ErrorCode code, std::string const& message) {
  cli::print_error(message);
  return static_cast<int>(code);
}

/// 0 if everything that was printed has arrived.
int finish() {
  bool const arrived = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  return arrived ? 0 : fail(mirnet::ErrorCode::output, "the standard output cannot be written");
}

std::string version() {
  auto const kernels = cli::choose_kernels();
  return std::string("mirnet " MIRNET_VERSION " (") + (kernels ? (*kernels)->isa : "no instruction set") + ")";
}

/// "; did you mean --threads?" for the first argument that names an option or a command that does not exist.
std::string did_you_mean(CLI::App const& program, int argc, char** argv) {
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
  for (int i = 1; i < argc; ++i) {
    std::string_view const argument(argv[i]);
    auto const word = argument.substr(0, argument.find('='));
    bool const could_be_a_name = word.starts_with("--") || commands.empty();
    if (!could_be_a_name || word == "--" || std::find(names.begin(), names.end(), word) != names.end()) continue;
    if (auto const name = cli::nearest(word, names); !name.empty()) return "; did you mean " + name + "?";
  }
  return {};
}

int run(int argc, char** argv) {
  CLI::App program("Removes the noise from photographs with MIRNet, on the CPU.", "mirnet");
  cli::add_licences(program, version);
  program.set_version_flag("--version", version, "Print the version and the instruction set in use");
  program.require_subcommand(0, 1);
  cli::Action action;
  cli::add_denoise(program, action);
  cli::add_info(program, action);
  cli::add_compare(program, action);
  cli::add_bench(program, action);
  cli::add_profile(program, action);
  program.footer("Example: mirnet denoise noisy.png clean.png");  // at last: commands would inherit it

  try {
    program.parse(argc, argv);
  } catch (CLI::Success const& help_or_version) {
    program.exit(help_or_version);
    return finish();
  } catch (CLI::ParseError const& error) {
    bool const unknown = dynamic_cast<CLI::ExtrasError const*>(&error) != nullptr;
    auto const hint = unknown ? did_you_mean(program, argc, argv) : std::string();
    return fail(mirnet::ErrorCode::invalid_argument, error.what() + (hint.empty() ? "; see mirnet --help" : hint));
  }
  if (!action) return fail(mirnet::ErrorCode::invalid_argument, "a command is missing; see mirnet --help");
  auto const done = action();
  if (!done) return fail(done.error().code(), done.error().message());
  return finish();
}

constexpr char no_memory[] = "mirnet: no memory is left\n";

/// Ends the program as main would where an exception cannot get there: it comes before main, or leaves a function that
/// must not throw. Takes no memory; where there is none at all, exceptions cannot even be made.
[[noreturn]] void end_uncaught() noexcept {
  auto const say = [](std::string_view text) { static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size())); };
  bool memory_is_left = true;
  try {
    if (auto const exception = std::current_exception()) std::rethrow_exception(exception);
    void* const some = std::malloc(1024);
    memory_is_left = some != nullptr;
    std::free(some);
  } catch (std::bad_alloc const&) {
    memory_is_left = false;
  } catch (...) {
  }
  say(memory_is_left ? "mirnet: ended by a defect of the program\n" : no_memory);
  ::_exit(static_cast<int>(memory_is_left ? mirnet::ErrorCode::internal : mirnet::ErrorCode::memory));
}

// Before the objects of any file that are made before main.
[[gnu::constructor(101)]] void prepare_for_the_worst() { std::set_terminate(end_uncaught); }

}  // namespace

int main(int argc, char** argv) {
  if (cli::is_decoder(argc, argv)) return cli::run_decoder(argv);
  if (argc > 0) cli::program_name = argv[0];
  cli::end_on_interrupt();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow further is an error, as a full disk is
  try {
    return run(argc, argv);
  } catch (std::bad_alloc const&) {
    std::fputs(no_memory, stderr);
    return static_cast<int>(mirnet::ErrorCode::memory);
  } catch (std::exception const& error) {
    return fail(mirnet::ErrorCode::internal, error.what());
  }
}
