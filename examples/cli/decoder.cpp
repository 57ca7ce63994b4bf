#include "decoder.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <sstream>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mirnet/io/file.hpp>

#include "decoding.hpp"
#include "plugins.hpp"
#include "sandbox.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::detail::Descriptor;
using mirnet::detail::transfer;

/// A process that is gone, and waited for, when this is.
class Child {
 public:
  explicit Child(pid_t number) : number_(number) {}
  Child(Child const&) = delete;
  Child& operator=(Child const&) = delete;
  ~Child() {
    if (number_ <= 0) return;
    ::kill(number_, SIGKILL);
    static_cast<void>(wait());
  }

  /// How it ended, as waitpid says it.
  int wait() {
    int status = 0;
    while (::waitpid(number_, &status, 0) < 0 && errno == EINTR) continue;
    number_ = 0;
    return status;
  }

 private:
  pid_t number_;
};

/// Starts this program again, as what run_decoder is. `file` becomes its standard input, `output` its standard output.
mirnet::Result<pid_t> start_decoder(int file, int start, int output, std::string const& name, Reading const& reading) {
  struct Actions {
    Actions() { ::posix_spawn_file_actions_init(&actions); }
    ~Actions() { ::posix_spawn_file_actions_destroy(&actions); }
    posix_spawn_file_actions_t actions;
  };
  Actions actions;
  int failed = ::posix_spawn_file_actions_adddup2(&actions.actions, file, STDIN_FILENO);
  if (failed == 0) failed = ::posix_spawn_file_actions_adddup2(&actions.actions, output, STDOUT_FILENO);
  if (failed == 0 && start >= 0) {
    failed = ::posix_spawn_file_actions_adddup2(&actions.actions, start, start_of_file);
  }
  auto texts = arguments_of({name, reading.max_pixels, reading.memory(), start >= 0});
  texts.insert(texts.begin(), "mirnet");
  std::vector<char*> arguments;
  for (auto& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  pid_t number = 0;
  if (failed == 0) {
    failed = ::posix_spawn(&number, "/proc/self/exe", &actions.actions, nullptr, arguments.data(), environ);
  }
  if (failed == 0) return number;
  return Error(failed == ENOMEM ? ErrorCode::memory : ErrorCode::internal,
               "%s: the process that decodes pictures cannot be started: %s; --no-sandbox does without one",
               name.c_str(), std::strerror(failed));
}

/// Why there is no whole answer.
Error ended_early(std::string const& name, int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
    return {ErrorCode::input,
            "%s: the decoder was stopped when it began to do what no decoding takes; the file may be an attack",
            name.c_str()};
  }
  if (WIFSIGNALED(status)) {
    return {ErrorCode::input, "%s: the decoder crashed on this file (signal %d, %s)", name.c_str(), WTERMSIG(status),
            ::strsignal(WTERMSIG(status))};
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == static_cast<int>(ErrorCode::memory)) {
    return no_memory_for_decoding(name.c_str());
  }
  return {ErrorCode::input, "%s: the decoder ended without an answer (exit code %d)", name.c_str(),
          WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

bool is_possible(Reply const& reply, Reading const& reading) {
  auto const code = static_cast<ErrorCode>(reply.code);
  if (reply.code != 0) return code == ErrorCode::input || code == ErrorCode::memory;
  return reply.width >= 1 && reply.height >= 1 && reply.width <= reading.max_pixels / reply.height &&
         reply.channels >= 1 && reply.channels <= 4 && reply.type <= mirnet::SampleType::f32 &&
         std::any_of(formats().begin(), formats().end(),
                     [&](FormatTraits const& row) { return static_cast<int>(row.format) == reply.format; }) &&
         std::all_of(std::begin(reply.bytes), std::end(reply.bytes),
                     [](std::uint64_t size) { return size <= most_metadata; }) &&
         reply.conversion_bytes <= most_metadata && reply.warning_bytes <= most_metadata;
}

}  // namespace

mirnet::Result<Picture> decode_apart(int file, std::string const& name, Reading const& reading,
                                     std::span<std::byte const> start) {
  auto pipe = Pipe::open();
  if (!pipe) return pipe.error();
#if defined(F_SETPIPE_SZ)
  static_cast<void>(::fcntl(pipe->reading.get(), F_SETPIPE_SZ, 1 << 20));  // fewer turns; where it is too much, more
#endif
  std::optional<Descriptor> start_pipe;
  if (!start.empty()) {
    auto made = pipe_with(start);
    if (!made) return made.error();
    start_pipe.emplace(*std::move(made));
  }
  auto const number_of_child =
      start_decoder(file, start_pipe ? start_pipe->get() : -1, pipe->writing.get(), name, reading);
  if (!number_of_child) return number_of_child.error();
  Child child(*number_of_child);
  pipe->writing.close();
  auto const receive = [&](std::span<std::byte> to) {
    return transfer(to.size(),
                    [&](std::size_t done) { return ::read(pipe->reading.get(), to.data() + done, to.size() - done); });
  };
  Reply reply{};
  if (!receive(std::as_writable_bytes(std::span(&reply, 1)))) return ended_early(name, child.wait());
  reply.message[sizeof reply.message - 1] = '\0';
  reply.profile[sizeof reply.profile - 1] = '\0';
  if (!is_possible(reply, reading)) {
    return Error(ErrorCode::input, "%s: the decoder gave an answer that makes no sense; the file may be an attack",
                 name.c_str());
  }
  if (reply.code != 0) return Error(static_cast<ErrorCode>(reply.code), "%s", reply.message);

  auto image = mirnet::Image::create(reply.width, reply.height, reply.channels, reply.type);
  if (!image) return image.error();
  Metadata metadata;
  bool whole = receive(image->bytes());
  auto const parts = parts_of(metadata);
  for (std::size_t i = 0; whole && i < parts.size(); ++i) {
    parts[i]->resize(static_cast<std::size_t>(reply.bytes[i]));
    whole = receive(*parts[i]);
  }
  Bytes colour(whole ? static_cast<std::size_t>(reply.conversion_bytes) : 0);
  whole = whole && receive(colour);
  std::string lines(whole ? static_cast<std::size_t>(reply.warning_bytes) : 0, '\0');
  if (!whole || !receive(std::as_writable_bytes(std::span(lines)))) return ended_early(name, child.wait());
  // Sides of pixels are numbers that a division can take.
  auto const possible = [](double side) { return side > 0 && side < 1e9; };
  if (possible(reply.resolution[0]) && possible(reply.resolution[1])) {
    metadata.resolution = {reply.resolution[0], reply.resolution[1], reply.per_inch != 0};
  }
  metadata.colour = reply.colour;
  metadata.colour.intent = std::clamp(metadata.colour.intent, -1, 3);
  std::vector<std::string> warnings;
  std::istringstream all(lines);
  for (std::string line; std::getline(all, line);) warnings.push_back(line);
  return Picture{*std::move(image),
                 std::move(metadata),
                 static_cast<Format>(reply.format),
                 reply.lossless != 0,
                 std::move(warnings),
                 ColourConversion::from_bytes(colour),
                 std::clamp(reply.stored_orientation, 1, 8),
                 reply.profile};
}

bool is_decoder(int argc, char** argv) { return task_of(argc, argv).has_value(); }

int run_decoder(int argc, char** argv) {
  answer(*task_of(argc, argv), [](DecodingTask const& task) -> mirnet::Result<Picture> {
    auto start = read_start(task, shows_format);
    if (!start) return start.error();
    auto const* const format = format_of(start->bytes());
    if (format != nullptr && format->plugin != nullptr) return become_plugin(*format, task, start->bytes());
    auto const* const name = task.name.c_str();
    // What cannot be loaded is an error only if the file needs it: many cameras' files look like TIFF until more of
    // them is read.
    auto const load = [&](FormatTraits const& needed) {
      if (needed.load != nullptr) static_cast<void>(needed.load(name));
    };
    if (format != nullptr) load(*format);
    if (format != nullptr && format->format == Format::tiff) load(traits(Format::raw));
    enter_sandbox(task.memory);
    return decode_picture(STDIN_FILENO, *std::move(start), name, task.max_pixels);
  });
}

}  // namespace cli
