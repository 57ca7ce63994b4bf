#include "picture.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <mirnet/io/file.hpp>

#include "decoder.hpp"
#include "decoding.hpp"
#include "memory_limit.hpp"
#include "naming.hpp"
#include "progress.hpp"
#include "quiet.hpp"
#include "system.hpp"

namespace cli {

using mirnet::Index;
using mirnet::SampleType;

namespace {

#if defined(_WIN32)

/// Errors: input.
mirnet::Result<mirnet::detail::Descriptor> open_picture(std::string const& path) {
  mirnet::detail::Descriptor descriptor(mirnet::detail::system::open_to_read(path.c_str()));
  if (descriptor.open()) return descriptor;
  std::error_code ignored;
  bool const is_folder = std::filesystem::is_directory(path_of(path), ignored);
  return mirnet::Error(mirnet::ErrorCode::input,
                       is_folder ? "%s: is a folder; expected a file" : "%s: cannot be opened: %s", path.c_str(),
                       std::strerror(errno));
}

#else

/// The number of what is open already, where the path is a name for that.
std::optional<int> descriptor_of(std::string_view path) {
  constexpr std::string_view folder = "/dev/fd/";
  if (path == "/dev/stdin") return STDIN_FILENO;
  if (!path.starts_with(folder)) return {};
  int number = -1;
  auto const* const last = path.data() + path.size();
  auto const [end, error] = std::from_chars(path.data() + folder.size(), last, number);
  return error == std::errc() && end == last ? std::optional(number) : std::nullopt;
}

/// A file, or what is read as a stream: a pipe or a device like a terminal. Opening a named pipe waits for somebody who
/// writes to it, as it does everywhere. Errors: input.
mirnet::Result<mirnet::detail::Descriptor> open_picture(std::string const& path) {
  mirnet::detail::system::Status status{};
  auto const is_stream = [&] { return S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode); };
  bool const waits = mirnet::detail::system::status_of(path.c_str(), status) && is_stream();
  int number = waits ? ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)
                     : mirnet::detail::system::open_to_read(path.c_str());
  // No socket can be opened by a name, not even by these.
  bool const is_socket = number < 0 && errno == ENXIO && descriptor_of(path).has_value();
  if (is_socket) number = ::fcntl(*descriptor_of(path), F_DUPFD_CLOEXEC, 0);
  mirnet::detail::Descriptor descriptor(number);
  if (!descriptor.open() || !mirnet::detail::system::status_of(number, status)) {
    return mirnet::Error(mirnet::ErrorCode::input, "%s: cannot be opened: %s", path.c_str(), std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode) && !is_stream() && !is_socket) {
    return mirnet::Error(mirnet::ErrorCode::input, "%s: is %s; expected a file or a pipe", path.c_str(),
                         mirnet::detail::system::kind_of(status));
  }
  return descriptor;
}

#endif

}  // namespace

double Reading::memory() const { return memory_budget(memory_limit); }

mirnet::Result<Picture> decode_picture(int file, mirnet::ByteBuffer start, char const* name, Index max_pixels) {
  bool const known = format_of(start.bytes()) != nullptr;
  auto const content = known ? read_rest(file, std::move(start), name, max_pixels) : std::move(start);
  if (!content) return content.error();
  auto const bytes = content->bytes();
  auto const* const format = format_of(bytes);
  if (format == nullptr) {
    return mirnet::Error(mirnet::ErrorCode::input, "%s: not an image of a known format; expected %s", name,
                         readable_names().c_str());
  }
  if (format->decode == nullptr) {
    return mirnet::Error(mirnet::ErrorCode::input, "%s: is a picture in %s, which this build cannot read; it lacks %s",
                         name, format->name, format->library);
  }
  return picture_of(format->decode(bytes, name, {.max_pixels = max_pixels}), format->format);
}

mirnet::Result<Picture> read_picture(std::string const& path, Reading const& reading) {
  auto const decode = [&](int file, std::string const& name) {
    if constexpr (can_decode_apart) {
      if (!reading.no_sandbox) return decode_apart(file, name, reading);
    }
    auto start = read_start(file, name.c_str(), shows_format);
    if (!start) return mirnet::Result<Picture>(start.error());
    if constexpr (can_decode_apart) {
      // Plug-ins are processes in any case.
      auto const* const format = format_of(start->bytes());
      if (format != nullptr && format->plugin != nullptr) return decode_apart(file, name, reading, start->bytes());
    }
    Quiet const quiet;
    return decode_picture(file, *std::move(start), name.c_str(), reading.max_pixels);
  };
  auto const explain = [&](mirnet::Result<Picture> read) -> mirnet::Result<Picture> {
    if (read || read.error().code() != mirnet::ErrorCode::memory) return read;
    return mirnet::Error(mirnet::ErrorCode::memory, "%s; %s; use a larger --max-memory", read.error().message(),
                         budget_text(reading.memory_limit).c_str());
  };
  if (path == standard_stream) {
    constexpr int standard_input = 0;
    mirnet::detail::system::Status status{};
    if (mirnet::detail::system::status_of(standard_input, status) && S_ISDIR(status.st_mode)) {
      return mirnet::Error(mirnet::ErrorCode::input, "the standard input: is a folder; expected a picture");
    }
    return explain(decode(standard_input, "the standard input"));
  }
  auto const file = open_picture(path);
  if (!file) return file.error();
  return explain(decode(file->get(), path));
}

mirnet::Result<mirnet::Image> sample_picture(Index width, Index height) {
  auto picture = mirnet::Image::create(width, height, 3, mirnet::SampleType::u8);
  if (!picture) return picture;
  std::uint32_t state = 1;
  for (auto& byte : picture->bytes()) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(state >> 24);
  }
  return picture;
}

mirnet::Result<mirnet::Tensor<float>> sample_map(mirnet::Shape shape) {
  auto map = mirnet::Tensor<float>::create(shape);
  if (!map) return map;
  auto const view = map->view();
  std::uint32_t state = 1;
  for (Index pixel = 0; pixel < view.pixels(); ++pixel) {
    for (Index c = 0; c < shape.channels; ++c) {
      state = state * 1664525u + 1013904223u;
      view.data()[pixel * view.pitch() + c] = static_cast<float>(state >> 8) / (1 << 24);
    }
  }
  return map;
}

mirnet::Result<std::optional<Format>> output_format(Work const& work, std::optional<std::string> const& named) {
  if (work.output == standard_stream && !named) return std::optional<Format>();
  auto const extension = work.output == standard_stream ? *named : extension_of(work.output);
  auto const* const format = format_named(extension);
  if (format != nullptr && format->encode != nullptr) return std::optional(format->format);
  bool const written_by_others = format != nullptr && format->library != nullptr && format->result == format->format;
  if (written_by_others) {
    return mirnet::Error(mirnet::ErrorCode::output, "%s: this build cannot write %s; it lacks %s", work.output.c_str(),
                         format->name, format->library);
  }
  if (extension.empty()) {
    return mirnet::Error(mirnet::ErrorCode::output,
                         "%s: the name has no extension that says the format; for a folder, write %s/",
                         work.output.c_str(), work.output.c_str());
  }
  std::string expected;
  for (auto const& name : writable_extensions()) expected += (expected.empty() ? "." : ", .") + name;
  return mirnet::Error(mirnet::ErrorCode::output, "%s: unsupported output extension; use one of %s",
                       work.output.c_str(), expected.c_str());
}

bool exists(std::string const& path) {
  std::error_code ignored;
  return std::filesystem::exists(path_of(path), ignored);
}

mirnet::Result<void> check_writable(std::string const& path, bool overwrite) {
  if (!overwrite && exists(path)) {
    return mirnet::Error(mirnet::ErrorCode::output, "%s: already exists; use --overwrite to replace it", path.c_str());
  }
  Uninterrupted const probing;  // with a file that would stay
  auto const folder = path_of(path).parent_path();
  std::error_code failed;
  if (!folder.empty()) std::filesystem::create_directories(folder, failed);
  if (failed) {
    return mirnet::Error(mirnet::ErrorCode::output, "%s: cannot create the folder %s: %s", path.c_str(),
                         text_of(folder).c_str(), failed.message().c_str());
  }
  return mirnet::check_writable(path.c_str(), overwrite);
}

mirnet::Result<SampleType> stored_samples(Format format, SampleType type, PictureOptions const& options) {
  auto const& row = traits(format);
  bool const bytes_only = row.deepest == SampleType::u8, floats_only = row.deepest == SampleType::f32;
  if (options.depth && (floats_only || (bytes_only && *options.depth != 8))) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument, "--depth %d: a %s holds %s", *options.depth, row.name,
                         floats_only ? "floats of 32 bits" : "8 bits a sample");
  }
  if (floats_only) return SampleType::f32;
  if (bytes_only || options.depth == 8) return SampleType::u8;
  return options.depth == 16 || type != SampleType::u8 ? SampleType::u16 : SampleType::u8;
}

mirnet::Result<EncodeOptions> encoding_for(Format format, Picture const& read, PictureOptions const& options) {
  auto const& row = traits(format);
  bool const wanted = options.lossless.value_or(row.loss == Loss::wanted && read.lossless);
  if (wanted && row.loss == Loss::always) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument, "--lossless: a %s is never without loss", row.name);
  }
  auto encoding = options.encoding;
  encoding.lossless = wanted;
  return encoding;
}

}  // namespace cli
