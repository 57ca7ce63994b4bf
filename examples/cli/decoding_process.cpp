// The two ends of a process that decodes a picture: its arguments, its pipe, and how it answers.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <new>
#include <string_view>
#include <type_traits>

#include <fcntl.h>
#include <unistd.h>

#include <mirnet/version.hpp>

#include "decoding.hpp"
#include "quiet.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::detail::transfer;

static_assert(std::is_trivially_copyable_v<Reply>);

constexpr std::string_view mark = "--decode-a-picture=" MIRNET_VERSION;

bool send(std::span<std::byte const> bytes) {
  return transfer(bytes.size(),
                  [&](std::size_t done) { return ::write(STDOUT_FILENO, bytes.data() + done, bytes.size() - done); });
}

Reply reply_with(Error const& error) {
  Reply reply{};
  reply.code = static_cast<int>(error.code());
  static_cast<void>(std::string_view(error.message()).copy(reply.message, sizeof reply.message - 1));
  return reply;
}

bool send(mirnet::Result<Picture> const& picture) {
  if (!picture) {
    auto const reply = reply_with(picture.error());
    return send(std::as_bytes(std::span(&reply, 1)));
  }
  auto const& [image, metadata, format, lossless, warnings, conversion, orientation, profile] = *picture;
  auto const colour = conversion ? conversion->to_bytes() : Bytes();
  std::string lines;
  for (auto const& warning : warnings) lines += warning + '\n';
  Reply reply{};
  reply.width = image.width();
  reply.height = image.height();
  reply.channels = image.channels();
  reply.type = image.type();
  reply.format = static_cast<int>(format);
  reply.lossless = lossless ? 1 : 0;
  reply.resolution[0] = metadata.resolution.x;
  reply.resolution[1] = metadata.resolution.y;
  reply.per_inch = metadata.resolution.per_inch ? 1 : 0;
  reply.colour = metadata.colour;
  reply.stored_orientation = orientation;
  static_cast<void>(profile.copy(reply.profile, sizeof reply.profile - 1));
  auto const parts = parts_of(metadata);
  for (std::size_t i = 0; i < parts.size(); ++i) reply.bytes[i] = parts[i]->size();
  reply.conversion_bytes = colour.size();
  reply.warning_bytes = lines.size();
  return send(std::as_bytes(std::span(&reply, 1))) && send(image.bytes()) &&
         std::all_of(parts.begin(), parts.end(), [](Bytes const* part) { return send(*part); }) && send(colour) &&
         send(std::as_bytes(std::span(lines)));
}

/// A number of the arguments; 0 where it is none.
template <class T>
T number(char const* text) {
  T value{};
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

/// Libraries that were built without exceptions end in std::terminate where there is no memory.
[[noreturn]] void end_uncaught() noexcept {
  auto code = ErrorCode::internal;
  try {
    if (auto const exception = std::current_exception()) std::rethrow_exception(exception);
  } catch (std::bad_alloc const&) {
    code = ErrorCode::memory;
  } catch (...) {
  }
  ::_exit(static_cast<int>(code));
}

}  // namespace

std::vector<std::string> arguments_of(DecodingTask const& task) {
  return {std::string(mark), task.name, std::to_string(task.max_pixels),
          std::to_string(std::clamp(task.memory, 0.0, 1e18)), task.has_start ? "1" : "0"};
}

std::optional<DecodingTask> task_of(int argc, char** argv) {
  if (argc != 6 || argv[1] != mark) return {};
  return DecodingTask{argv[2], number<Index>(argv[3]), number<double>(argv[4]), number<int>(argv[5]) == 1};
}

void answer(DecodingTask const& task, mirnet::Result<Picture> (*decode)(DecodingTask const& task)) {
  std::set_terminate(end_uncaught);
  Quiet const quiet;
  // Little CMS asks for the time, and LibRaw for that of cameras, whose clocks know no zone; where none is said, the C
  // library looks for one in files.
  ::setenv("TZ", "UTC0", 1);
  ::tzset();
  bool sent = false;
  try {
    sent = send(decode(task));
  } catch (std::bad_alloc const&) {
    sent = send(no_memory_for_decoding(task.name.c_str()));
  }
  ::_exit(sent ? 0 : static_cast<int>(ErrorCode::internal));  // what runs at exit was never part of this
}

mirnet::Result<Pipe> Pipe::open() {
  int ends[2] = {};
  if (::pipe(ends) != 0) {
    return Error(ErrorCode::internal, "cannot create a pipe for decoding: %s", std::strerror(errno));
  }
  for (int const end : ends) static_cast<void>(::fcntl(end, F_SETFD, FD_CLOEXEC));
  return Pipe{mirnet::detail::Descriptor(ends[0]), mirnet::detail::Descriptor(ends[1])};
}

mirnet::Result<mirnet::detail::Descriptor> pipe_with(std::span<std::byte const> bytes) {
  auto pipe = Pipe::open();
  if (!pipe) return pipe.error();
  bool const taken = transfer(bytes.size(), [&](std::size_t done) {
    return ::write(pipe->writing.get(), bytes.data() + done, bytes.size() - done);
  });
  if (!taken) return Error(ErrorCode::internal, "cannot write to a pipe for decoding: %s", std::strerror(errno));
  return std::move(pipe->reading);
}

}  // namespace cli
