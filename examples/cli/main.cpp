// The program mirnet. Results go to the standard output; an error is one line on the standard error and an exit code:
// 0 done, 1 a defect of the program, 2 wrong usage, 3 an input, 4 a weight file, 5 memory, 6 a figure that
// is not reached, 7 some of several pictures, 8 an output, 130 stopped by the user.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "command_line.hpp"
#include "decoder.hpp"
#include "progress.hpp"
#include "system.hpp"
#include "weights.hpp"

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

int run(int argc, char** argv) {
  cli::CommandLine command_line;
  auto const wish = command_line.parse(argc, argv);
  if (!wish.action) return fail(mirnet::ErrorCode::invalid_argument, wish.mistake);
  auto const done = wish.action();
  if (!done) return fail(done.error().code(), done.error().message());
  return finish();
}

constexpr char no_memory[] = "mirnet: no memory is left\n";

/// Ends the program as main would where an exception cannot get there: it comes before main, or leaves a function that
/// must not throw. Takes no memory; where there is none at all, exceptions cannot even be made.
[[noreturn]] void end_uncaught() noexcept {
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
  cli::leave_at_once(memory_is_left ? "mirnet: ended by a defect of the program\n" : no_memory,
                     static_cast<int>(memory_is_left ? mirnet::ErrorCode::internal : mirnet::ErrorCode::memory));
}

// Before the objects of any file that are made before main.
[[gnu::constructor(101)]] void prepare_for_the_worst() { std::set_terminate(end_uncaught); }

int start(int argc, char** argv) {
  cli::prepare_process();
  if constexpr (cli::can_decode_apart) {
    if (cli::is_decoder(argc, argv)) return cli::run_decoder(argc, argv);
  }
  if (argc > 0) cli::program_name = argv[0];
  cli::end_on_interrupt();
  try {
    return run(argc, argv);
  } catch (std::bad_alloc const&) {
    std::fputs(no_memory, stderr);
    return static_cast<int>(mirnet::ErrorCode::memory);
  } catch (std::exception const& error) {
    return fail(mirnet::ErrorCode::internal, error.what());
  }
}

}  // namespace

#if defined(_WIN32)
// No shell of Windows replaces "*.jpg" by the files that it means: the C library does, where a program asks for it.
extern "C" {
int _dowildcard = -1;
}

extern "C" int wmain(int argc, wchar_t** wide) {
  std::vector<std::string> arguments;
  for (int i = 0; i < argc; ++i) arguments.push_back(cli::text_of(wide[i]));
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return start(argc, argv.data());
}
#else
int main(int argc, char** argv) { return start(argc, argv); }
#endif
