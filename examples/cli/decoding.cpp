#include "decoding.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <unistd.h>

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;

/// A plain PPM has six characters for the largest sample.
constexpr Index most_bytes_a_pixel = 18;
/// For what is in a file besides.
constexpr Index most_bytes_beside = 1 << 26;
/// A picture's format shows earlier than here; and every pipe takes as much at once.
constexpr std::size_t longest_start = 4096;

bool never_enough(std::span<std::byte const>) { return false; }

/// Reads until there are `most` bytes in all, or enough, or the file ends.
mirnet::Result<void> read_up_to(std::size_t most, int file, mirnet::ByteBuffer& content, char const* name,
                                Enough* enough = never_enough) {
  std::byte piece[1 << 16];
  while (content.bytes().size() < most && !enough(content.bytes())) {
    auto const size = std::min(sizeof piece, most - content.bytes().size());
    auto const count = ::read(file, piece, static_cast<unsigned>(size));
    if (count == 0) return {};
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error(ErrorCode::input, "%s: cannot be read: %s", name, std::strerror(errno));
    auto const kept = content.append(std::span(piece).first(static_cast<std::size_t>(count)));
    if (!kept) return kept;
  }
  return {};
}

}  // namespace

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

}  // namespace cli
