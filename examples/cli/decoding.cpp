#include "decoding.hpp"

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

#include "quiet.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::detail::transfer;

static_assert(std::is_trivially_copyable_v<Reply>);

constexpr std::string_view mark = "--decode-a-picture=" MIRNET_VERSION;

/// A plain PPM has six characters for the largest sample.
constexpr Index most_bytes_a_pixel = 18;
/// For what is in a file besides.
constexpr Index most_bytes_beside = 1 << 26;
/// A picture's format shows earlier than here; and every pipe takes as much at once.
constexpr std::size_t longest_start = 4096;

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

bool never_enough(std::span<std::byte const>) { return false; }

/// Reads until there are `most` bytes in all, or enough, or the file ends.
mirnet::Result<void> read_up_to(std::size_t most, int file, mirnet::ByteBuffer& content, char const* name,
                                Enough* enough = never_enough) {
  std::byte piece[1 << 16];
  while (content.bytes().size() < most && !enough(content.bytes())) {
    auto const count = ::read(file, piece, std::min(sizeof piece, most - content.bytes().size()));
    if (count == 0) return {};
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error(ErrorCode::input, "%s: cannot be read: %s", name, std::strerror(errno));
    auto const kept = content.append(std::span(piece).first(static_cast<std::size_t>(count)));
    if (!kept) return kept;
  }
  return {};
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

mirnet::Result<mirnet::ByteBuffer> read_start(int file, char const* name, Enough* enough) {
  mirnet::ByteBuffer start;
  if (auto const done = read_up_to(longest_start, file, start, name, enough); !done) return done.error();
  return start;
}

mirnet::Result<mirnet::ByteBuffer> read_start(DecodingTask const& task, Enough* enough) {
  auto const* const name = task.name.c_str();
  return task.has_start ? read_start(start_of_file, name, never_enough) : read_start(STDIN_FILENO, name, enough);
}

mirnet::Result<mirnet::ByteBuffer> read_rest(int file, mirnet::ByteBuffer start, char const* name, Index max_pixels) {
  auto const most = max_pixels * most_bytes_a_pixel + most_bytes_beside;
  auto const too_long = [&] {
    return Error(ErrorCode::input, "%s: more than %lld bytes, which no picture of %lld pixels has", name,
                 static_cast<long long>(most), static_cast<long long>(max_pixels));
  };
  auto content = std::move(start);
  // What this says of a file's length is for taking the memory at once; pipes and devices say nothing.
  auto const begin = ::lseek(file, 0, SEEK_CUR), end = ::lseek(file, 0, SEEK_END);
  if (begin >= 0 && end >= begin && ::lseek(file, begin, SEEK_SET) == begin) {
    auto const size = end - begin + static_cast<Index>(content.bytes().size());
    if (size > most) return too_long();
    if (auto const reserved = content.reserve(static_cast<Index>(size)); !reserved) return reserved.error();
  }
  if (auto const done = read_up_to(static_cast<std::size_t>(most) + 1, file, content, name); !done) return done.error();
  if (static_cast<Index>(content.bytes().size()) > most) return too_long();
  return content;
}

mirnet::Result<Picture> picture_of(mirnet::Result<Decoded> decoded, Format format) {
  if (!decoded) return decoded.error();
  auto& metadata = decoded->metadata;
  if (metadata.resolution.empty()) metadata.resolution = exif_resolution(metadata.exif);
  int const orientation = metadata.orientation;
  if (auto const turned = make_upright(decoded->image, metadata); !turned) return turned.error();
  auto conversion = ColourConversion::of(metadata, decoded->image.colours());
  auto profile = profile_name(metadata.icc);
  return Picture{std::move(decoded->image),    std::move(metadata),   format,      decoded->lossless,
                 std::move(decoded->warnings), std::move(conversion), orientation, std::move(profile)};
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
