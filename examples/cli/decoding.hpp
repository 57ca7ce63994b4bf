// What the processes have in common that decode pictures for the program: itself, started again, and the plug-ins,
// which are programs of their own. Each is asked by its arguments for one picture, which is its standard input, and
// answers by its standard output.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <mirnet/io/bytes.hpp>
#include <mirnet/io/file.hpp>

#include "picture.hpp"

namespace cli {

struct DecodingTask {
  std::string name;          ///< of the file, for sentences
  mirnet::Index max_pixels;  ///< no larger picture is decoded
  double memory;             ///< bytes that decoding may take
  bool has_start = false;    ///< the first bytes have been read already, and come through `start_of_file`
};

/// The descriptor for the bytes of a file that were read to tell its format.
inline constexpr int start_of_file = 3;

/// As the arguments of a process, behind its name. Only a program of the same version understands them.
std::vector<std::string> arguments_of(DecodingTask const& task);
std::optional<DecodingTask> task_of(int argc, char** argv);

/// What a process answers first. Both ends are of the same version.
struct Reply {
  int code;  ///< 0, or an ErrorCode
  char message[512];
  mirnet::Index width, height, channels;
  mirnet::SampleType type;
  int format;
  int lossless;
  double resolution[2];
  int per_inch;
  ColourTags colour;
  int stored_orientation;
  char profile[128];
  std::uint64_t bytes[4];                         ///< of ICC, EXIF, XMP and IPTC
  std::uint64_t conversion_bytes, warning_bytes;  ///< of a ColourConversion, and of lines
};

/// The parts of metadata in the order of Reply::bytes.
template <class SomeMetadata>
auto parts_of(SomeMetadata& metadata) {
  return std::array{&metadata.icc, &metadata.exif, &metadata.xmp, &metadata.iptc};
}

/// Sends what decode() returns, a Result<Picture>, and ends the process.
[[noreturn]] void answer(DecodingTask const& task, mirnet::Result<Picture> (*decode)(DecodingTask const& task));

/// Whether the start of a file is long enough.
using Enough = bool(std::span<std::byte const> start);

/// The first bytes of an open file: until there are enough, or as many as tell any format. A pipe has them no more.
/// Errors: input, memory.
mirnet::Result<mirnet::ByteBuffer> read_start(int file, char const* name, Enough* enough);

/// The same of a task, whoever has read them.
mirnet::Result<mirnet::ByteBuffer> read_start(DecodingTask const& task, Enough* enough);

/// All that an open file has, as long as that can be a picture: a device could go on for ever. `start` has been read.
/// Errors: input, memory.
mirnet::Result<mirnet::ByteBuffer> read_rest(int file, mirnet::ByteBuffer start, char const* name,
                                             mirnet::Index max_pixels);

/// A decoded file as a picture: upright, with the resolution that its EXIF data says where nothing else does. Errors:
/// memory.
mirnet::Result<Picture> picture_of(mirnet::Result<Decoded> decoded, Format format);

struct Pipe {
  mirnet::detail::Descriptor reading, writing;

  /// That programs which are started do not get. Errors: internal.
  static mirnet::Result<Pipe> open();
};

/// A pipe that gives these bytes, `read_start`'s at most, and ends. Errors: internal.
mirnet::Result<mirnet::detail::Descriptor> pipe_with(std::span<std::byte const> bytes);

}  // namespace cli
