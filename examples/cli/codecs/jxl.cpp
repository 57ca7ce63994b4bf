// JPEG XL, by libjxl.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jxl/decode.h>
#include <jxl/encode.h>
#include <jxl/version.h>

#include "../quiet.hpp"
#include "codec.hpp"
#include "library.hpp"
#include "pixels.hpp"

namespace cli {
namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::SampleType;
using View = std::span<std::byte const>;

struct Jxl {
  Library library{MIRNET_JXL_LIBRARY};
  MIRNET_FUNCTION(JxlDecoderVersion);
  MIRNET_FUNCTION(JxlDecoderCreate);
  MIRNET_FUNCTION(JxlDecoderDestroy);
  MIRNET_FUNCTION(JxlDecoderSubscribeEvents);
  MIRNET_FUNCTION(JxlDecoderSetUnpremultiplyAlpha);
  MIRNET_FUNCTION(JxlDecoderSetDecompressBoxes);
  MIRNET_FUNCTION(JxlDecoderSetInput);
  MIRNET_FUNCTION(JxlDecoderCloseInput);
  MIRNET_FUNCTION(JxlDecoderProcessInput);
  MIRNET_FUNCTION(JxlDecoderGetBasicInfo);
  MIRNET_FUNCTION(JxlDecoderGetExtraChannelInfo);
  MIRNET_FUNCTION(JxlDecoderGetColorAsEncodedProfile);
  MIRNET_FUNCTION(JxlDecoderGetICCProfileSize);
  MIRNET_FUNCTION(JxlDecoderGetColorAsICCProfile);
  MIRNET_FUNCTION(JxlDecoderSetPreferredColorProfile);
  MIRNET_FUNCTION(JxlDecoderGetFrameHeader);
  MIRNET_FUNCTION(JxlDecoderSkipFrames);
  MIRNET_FUNCTION(JxlDecoderImageOutBufferSize);
  MIRNET_FUNCTION(JxlDecoderSetImageOutBuffer);
  MIRNET_FUNCTION(JxlDecoderGetBoxType);
  MIRNET_FUNCTION(JxlDecoderSetBoxBuffer);
  MIRNET_FUNCTION(JxlDecoderReleaseBoxBuffer);
  MIRNET_FUNCTION(JxlEncoderCreate);
  MIRNET_FUNCTION(JxlEncoderDestroy);
  MIRNET_FUNCTION(JxlEncoderInitBasicInfo);
  MIRNET_FUNCTION(JxlEncoderSetBasicInfo);
  MIRNET_FUNCTION(JxlEncoderSetCodestreamLevel);
  MIRNET_FUNCTION(JxlEncoderGetRequiredCodestreamLevel);
  MIRNET_FUNCTION(JxlEncoderSetICCProfile);
  MIRNET_FUNCTION(JxlEncoderSetColorEncoding);
  MIRNET_FUNCTION(JxlColorEncodingSetToSRGB);
  MIRNET_FUNCTION(JxlEncoderFrameSettingsCreate);
  MIRNET_FUNCTION(JxlEncoderFrameSettingsSetOption);
  MIRNET_FUNCTION(JxlEncoderSetFrameLossless);
  MIRNET_FUNCTION(JxlEncoderSetFrameDistance);
  MIRNET_FUNCTION(JxlEncoderUseBoxes);
  MIRNET_FUNCTION(JxlEncoderAddBox);
  MIRNET_FUNCTION(JxlEncoderAddImageFrame);
  MIRNET_FUNCTION(JxlEncoderCloseInput);
  MIRNET_FUNCTION(JxlEncoderProcessOutput);
  MIRNET_FUNCTION(JxlEncoderGetError);

  static Jxl& instance() {
    static Jxl jxl;
    return jxl;
  }
};

/// The memory that libjxl works in, which notes where there is none.
struct JxlMemory {
  JxlMemoryManager manager{this,
                           [](void* self, std::size_t size) {
                             void* const memory = std::malloc(size);
                             if (memory == nullptr) static_cast<JxlMemory*>(self)->is_left = false;
                             return memory;
                           },
                           [](void*, void* memory) { std::free(memory); }};
  bool is_left = true;
};

JxlPixelFormat pixel_format(Index channels, SampleType type) {
  return {static_cast<std::uint32_t>(channels), type == SampleType::u8 ? JXL_TYPE_UINT8 : JXL_TYPE_UINT16,
          JXL_NATIVE_ENDIAN, 0};
}

// --- Reading ---------------------------------------------------------------------------------------------------------

class JxlReader {
 public:
  JxlReader(char const* name, mirnet::ReadOptions const& options) : name_(name), options_(options) {}
  JxlReader(JxlReader const&) = delete;
  JxlReader& operator=(JxlReader const&) = delete;
  ~JxlReader() {
    if (decoder_ != nullptr) jxl_.JxlDecoderDestroy(decoder_);
  }

  mirnet::Result<Decoded> read(View file) {
    decoder_ = jxl_.JxlDecoderCreate(&memory_.manager);
    if (decoder_ == nullptr) return no_memory_for_decoding(name_);
    constexpr int events =
        JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING | JXL_DEC_FRAME | JXL_DEC_FULL_IMAGE | JXL_DEC_BOX;
    bool const ready = jxl_.JxlDecoderSubscribeEvents(decoder_, events) == JXL_DEC_SUCCESS &&
                       jxl_.JxlDecoderSetUnpremultiplyAlpha(decoder_, JXL_TRUE) == JXL_DEC_SUCCESS &&
                       jxl_.JxlDecoderSetInput(decoder_, reinterpret_cast<std::uint8_t const*>(file.data()),
                                               file.size()) == JXL_DEC_SUCCESS;
    if (!ready) return damaged();
    // Without Brotli compressed boxes stay what they are.
    static_cast<void>(jxl_.JxlDecoderSetDecompressBoxes(decoder_, JXL_TRUE));
    bool closed = false;
    for (;;) {
      auto const status = jxl_.JxlDecoderProcessInput(decoder_);
      if (status != JXL_DEC_BOX_NEED_MORE_OUTPUT) end_box(status);
      switch (status) {
        case JXL_DEC_SUCCESS: return finished();
        case JXL_DEC_BASIC_INFO:
          if (auto const taken = take_header(); !taken) return taken.error();
          break;
        case JXL_DEC_COLOR_ENCODING: take_colours(); break;
        case JXL_DEC_FRAME: take_frame(); break;
        case JXL_DEC_NEED_IMAGE_OUT_BUFFER:
          if (auto const set = take_pixels(); !set) return set.error();
          break;
        case JXL_DEC_FULL_IMAGE: take_end_of_frame(); break;
        case JXL_DEC_BOX: begin_box(); break;
        case JXL_DEC_BOX_NEED_MORE_OUTPUT:
          if (!more_box()) return damaged();
          break;
        case JXL_DEC_NEED_MORE_INPUT:
          // The file is all there is. A last box whose length is not said ends with it.
          if (closed) return truncated();
          closed = true;
          jxl_.JxlDecoderCloseInput(decoder_);
          break;
        default: return closed ? truncated() : damaged();
      }
    }
  }

 private:
  mirnet::Result<void> take_header() {
    if (jxl_.JxlDecoderGetBasicInfo(decoder_, &info_) != JXL_DEC_SUCCESS) return damaged().error();
    auto const size = mirnet::detail::check_size(name_, "JPEG XL", info_.xsize, info_.ysize, options_);
    if (!size) return size.error();
    // libjxl aborts where there is no memory. Floats of three colours, twice, are the most that it has been seen to
    // take.
    constexpr Index bytes_a_pixel = 2 * 3 * 4;
    if (!has_room(size->width * size->height, bytes_a_pixel)) return no_memory_for_decoding(name_);
    std::uint32_t others = info_.num_extra_channels;
    for (std::uint32_t i = 0; i < info_.num_extra_channels; ++i) {
      JxlExtraChannelInfo channel{};
      if (jxl_.JxlDecoderGetExtraChannelInfo(decoder_, i, &channel) != JXL_DEC_SUCCESS) continue;
      if (channel.type == JXL_CHANNEL_BLACK) {
        return Error(ErrorCode::input, "%s: is a JPEG XL picture for printing (CMYK); expected gray or RGB", name_);
      }
      if (channel.type == JXL_CHANNEL_ALPHA && others == info_.num_extra_channels) --others;
    }
    // Loss goes through colours of JPEG XL's own; but for a JPEG that was packed, which begin_box tells.
    decoded_.lossless = info_.uses_original_profile == JXL_TRUE;
    if (others > 0) decoded_.warnings.push_back("it has channels besides colours and alpha, which are left out");
    return {};
  }

  /// The profile of what the decoder gives. Plain sRGB needs none.
  void take_colours() {
    auto const format = pixel_format(3, SampleType::u8);  // libjxl does not look at it
    JxlColorEncoding encoding{};
    bool const listed = jxl_.JxlDecoderGetColorAsEncodedProfile(decoder_, &format, JXL_COLOR_PROFILE_TARGET_ORIGINAL,
                                                                &encoding) == JXL_DEC_SUCCESS;
    if (listed && is_srgb(encoding)) return;
    if (!listed && info_.uses_original_profile == JXL_FALSE) {
      // The decoder cannot go back to such a profile. By itself it takes linear light, of which 8 bits are too few.
      wide_ = info_.num_color_channels == 3;
      jxl_.JxlColorEncodingSetToSRGB(&encoding, wide_ ? JXL_FALSE : JXL_TRUE);
      if (wide_) encoding.primaries = JXL_PRIMARIES_2100;
      static_cast<void>(jxl_.JxlDecoderSetPreferredColorProfile(decoder_, &encoding));
      if (!wide_) return;
    }
    std::size_t size = 0;
    if (jxl_.JxlDecoderGetICCProfileSize(decoder_, &format, JXL_COLOR_PROFILE_TARGET_DATA, &size) != JXL_DEC_SUCCESS ||
        size > most_metadata) {
      decoded_.warnings.push_back("its colour profile is damaged and left out");
      return;
    }
    auto& icc = decoded_.metadata.icc;
    icc.resize(size);
    if (jxl_.JxlDecoderGetColorAsICCProfile(decoder_, &format, JXL_COLOR_PROFILE_TARGET_DATA,
                                            reinterpret_cast<std::uint8_t*>(icc.data()), size) != JXL_DEC_SUCCESS) {
      icc.clear();
    }
  }
  static bool is_srgb(JxlColorEncoding const& encoding) {
    bool const curve = encoding.transfer_function == JXL_TRANSFER_FUNCTION_SRGB;
    bool const gray = encoding.color_space == JXL_COLOR_SPACE_GRAY;
    return curve && encoding.white_point == JXL_WHITE_POINT_D65 &&
           (gray || (encoding.color_space == JXL_COLOR_SPACE_RGB && encoding.primaries == JXL_PRIMARIES_SRGB));
  }

  void take_frame() {
    JxlFrameHeader header{};
    bool const known = jxl_.JxlDecoderGetFrameHeader(decoder_, &header) == JXL_DEC_SUCCESS;
    last_ = !known || header.is_last == JXL_TRUE;
  }

  mirnet::Result<void> take_pixels() {
    Index const channels = (info_.num_color_channels == 1 ? 1 : 3) + (info_.alpha_bits > 0 ? 1 : 0);
    bool const deep = info_.bits_per_sample > 8 || info_.exponent_bits_per_sample > 0 || wide_;
    if (info_.exponent_bits_per_sample > 0) {
      decoded_.warnings.push_back("its samples are floats, which are read as 16 bits from 0 to 1");
    }
    auto image = mirnet::Image::create(static_cast<Index>(info_.xsize), static_cast<Index>(info_.ysize), channels,
                                       deep ? SampleType::u16 : SampleType::u8);
    if (!image) return image.error();
    decoded_.image = *std::move(image);
    auto const format = pixel_format(channels, decoded_.image.type());
    auto const bytes = decoded_.image.bytes();
    std::size_t size = 0;
    if (jxl_.JxlDecoderImageOutBufferSize(decoder_, &format, &size) != JXL_DEC_SUCCESS || size != bytes.size() ||
        jxl_.JxlDecoderSetImageOutBuffer(decoder_, &format, bytes.data(), bytes.size()) != JXL_DEC_SUCCESS) {
      return damaged().error();
    }
    return {};
  }

  void take_end_of_frame() {
    if (!whole_ && !last_) {
      decoded_.warnings.push_back("an animation, of which the first picture is taken");
      jxl_.JxlDecoderSkipFrames(decoder_, (std::numeric_limits<std::size_t>::max)());  // metadata may stand behind
    }
    whole_ = true;
  }

  void begin_box() {
    JxlBoxType type{};
    if (jxl_.JxlDecoderGetBoxType(decoder_, type, JXL_TRUE) != JXL_DEC_SUCCESS) return;
    std::string_view const kind(type, sizeof type);
    if (kind == "jbrd") decoded_.lossless = false;
    auto& metadata = decoded_.metadata;
    box_ = kind == "Exif" && metadata.exif.empty()  ? &metadata.exif
           : kind == "xml " && metadata.xmp.empty() ? &metadata.xmp
                                                    : nullptr;
    if (box_ != nullptr) static_cast<void>(more_box());
  }
  /// Room for more of the box. False where the box is too long.
  bool more_box() {
    if (box_ == nullptr) return false;
    shorten_box();
    auto const filled = box_->size();
    if (filled >= most_metadata) return false;
    box_->resize(std::max<std::size_t>(2 * filled, 1 << 14));
    return jxl_.JxlDecoderSetBoxBuffer(decoder_, reinterpret_cast<std::uint8_t*>(box_->data() + filled),
                                       box_->size() - filled) == JXL_DEC_SUCCESS;
  }
  void end_box(JxlDecoderStatus status) {
    // A box is over when the next one begins, or the file; all else may come in between.
    if (box_ == nullptr || (status != JXL_DEC_BOX && status != JXL_DEC_SUCCESS)) return;
    shorten_box();
    box_ = nullptr;
  }
  void shorten_box() { box_->resize(box_->size() - jxl_.JxlDecoderReleaseBoxBuffer(decoder_)); }

  /// What there is when nothing more comes.
  mirnet::Result<Decoded> finished() {
    if (!whole_) return damaged();
    auto& exif = decoded_.metadata.exif;
    exif = exif_of_box(std::move(exif));
    return std::move(decoded_);
  }
  mirnet::Result<Decoded> ended_behind_pixels() {
    if (box_ != nullptr) box_->clear();
    decoded_.warnings.push_back("the file ends, or is damaged, behind its pixels");
    return finished();
  }
  mirnet::Result<Decoded> damaged() {
    if (!memory_.is_left) return no_memory_for_decoding(name_);
    if (whole_) return ended_behind_pixels();
    return Error(ErrorCode::input, "%s: damaged JPEG XL file", name_);
  }
  mirnet::Result<Decoded> truncated() {
    if (!memory_.is_left) return no_memory_for_decoding(name_);
    if (whole_) return ended_behind_pixels();
    return ends_before_pixels(name_, "JPEG XL");
  }

  Jxl& jxl_ = Jxl::instance();
  char const* name_;
  mirnet::ReadOptions const& options_;
  JxlMemory memory_;
  JxlDecoder* decoder_ = nullptr;
  JxlBasicInfo info_{};
  Decoded decoded_;
  Bytes* box_ = nullptr;  ///< what the box that is being read goes to
  bool wide_ = false;     ///< converted to a larger range of colours than the samples' 8 bits are enough for
  bool last_ = true, whole_ = false;
};

// --- Writing ---------------------------------------------------------------------------------------------------------

/// The distance that JPEG XL's own tools take for a quality of JPEG (libjxl, JxlEncoderDistanceFromQuality of later
/// versions).
float distance_of(int quality) {
  auto const q = static_cast<float>(quality);
  if (quality >= 30) return 0.1F + (100 - q) * 0.09F;
  return 53.0F / 3000 * q * q - 23.0F / 20 * q + 25;
}

mirnet::Result<mirnet::ByteBuffer> encode_image(mirnet::Image const& image, EncodeOptions const& options,
                                                Metadata const& metadata) {
  auto& jxl = Jxl::instance();
  JxlMemory memory;
  std::unique_ptr<JxlEncoder, decltype(jxl.JxlEncoderDestroy)> const encoder(jxl.JxlEncoderCreate(&memory.manager),
                                                                             jxl.JxlEncoderDestroy);
  auto const no_memory = [] { return Error(ErrorCode::memory, "no memory is left for the compressed picture"); };
  if (!encoder) return no_memory();
  auto const failed = [&](char const* what) {
    if (!memory.is_left || jxl.JxlEncoderGetError(encoder.get()) == JXL_ENC_ERR_OOM) return no_memory();
    return Error(ErrorCode::output, "%lld x %lld pixels cannot be encoded: libjxl refuses %s",
                 static_cast<long long>(image.width()), static_cast<long long>(image.height()), what);
  };
  bool const deep = image.type() == SampleType::u16;
  JxlBasicInfo info{};
  jxl.JxlEncoderInitBasicInfo(&info);
  info.xsize = static_cast<std::uint32_t>(image.width());
  info.ysize = static_cast<std::uint32_t>(image.height());
  info.bits_per_sample = deep ? 16 : 8;
  info.num_color_channels = static_cast<std::uint32_t>(image.colours());
  info.num_extra_channels = image.has_alpha() ? 1 : 0;
  info.alpha_bits = image.has_alpha() ? info.bits_per_sample : 0;
  info.uses_original_profile = options.lossless ? JXL_TRUE : JXL_FALSE;
  if (jxl.JxlEncoderSetBasicInfo(encoder.get(), &info) != JXL_ENC_SUCCESS) return failed("the size");
  auto const level = jxl.JxlEncoderGetRequiredCodestreamLevel(encoder.get());
  if (level > 5 && jxl.JxlEncoderSetCodestreamLevel(encoder.get(), level) != JXL_ENC_SUCCESS) {
    return failed("the size");
  }
  JxlColorEncoding srgb{};
  jxl.JxlColorEncodingSetToSRGB(&srgb, image.colours() == 1 ? JXL_TRUE : JXL_FALSE);
  auto const bytes = [](Bytes const& data) { return reinterpret_cast<std::uint8_t const*>(data.data()); };
  auto const coloured = metadata.icc.empty()
                            ? jxl.JxlEncoderSetColorEncoding(encoder.get(), &srgb)
                            : jxl.JxlEncoderSetICCProfile(encoder.get(), bytes(metadata.icc), metadata.icc.size());
  if (coloured != JXL_ENC_SUCCESS) return failed("the colour profile");
  auto* const settings = jxl.JxlEncoderFrameSettingsCreate(encoder.get(), nullptr);
  if (settings == nullptr) return no_memory();
  // Of 1 to 9. Without loss the next one takes four times as long for 1 % less.
  constexpr int effort = 3;
  static_cast<void>(jxl.JxlEncoderFrameSettingsSetOption(settings, JXL_ENC_FRAME_SETTING_EFFORT, effort));
  auto const set = options.lossless ? jxl.JxlEncoderSetFrameLossless(settings, JXL_TRUE)
                                    : jxl.JxlEncoderSetFrameDistance(settings, distance_of(options.quality));
  if (set != JXL_ENC_SUCCESS) return failed("the quality");
  if (!metadata.exif.empty() || !metadata.xmp.empty()) {
    Bytes exif(metadata.exif.empty() ? 0 : 4);  // how many bytes stand before the TIFF structure
    exif.insert(exif.end(), metadata.exif.begin(), metadata.exif.end());
    bool added = jxl.JxlEncoderUseBoxes(encoder.get()) == JXL_ENC_SUCCESS;
    if (!exif.empty()) {
      added =
          added && jxl.JxlEncoderAddBox(encoder.get(), "Exif", bytes(exif), exif.size(), JXL_FALSE) == JXL_ENC_SUCCESS;
    }
    if (!metadata.xmp.empty()) {
      added = added && jxl.JxlEncoderAddBox(encoder.get(), "xml ", bytes(metadata.xmp), metadata.xmp.size(),
                                            JXL_FALSE) == JXL_ENC_SUCCESS;
    }
    if (!added) return failed("the metadata");
  }
  auto const format = pixel_format(image.channels(), image.type());
  auto const pixels = image.bytes();
  if (jxl.JxlEncoderAddImageFrame(settings, &format, pixels.data(), pixels.size()) != JXL_ENC_SUCCESS) {
    return failed("the pixels");
  }
  jxl.JxlEncoderCloseInput(encoder.get());
  mirnet::ByteBuffer file;
  Bytes block(1 << 16);
  for (;;) {
    auto* next = reinterpret_cast<std::uint8_t*>(block.data());
    std::size_t left = block.size();
    auto const status = jxl.JxlEncoderProcessOutput(encoder.get(), &next, &left);
    if (status != JXL_ENC_SUCCESS && status != JXL_ENC_NEED_MORE_OUTPUT) return failed("the pixels");
    if (auto const kept = file.append(View(block).first(block.size() - left)); !kept) return no_memory();
    if (status == JXL_ENC_SUCCESS) return file;
  }
}

}  // namespace

mirnet::Result<void> load_jxl(char const* name) { return Jxl::instance().library.check(name, "JPEG XL"); }

LibraryVersions jxl_versions() {
  auto& jxl = Jxl::instance();
  auto const built = version_text(JPEGXL_MAJOR_VERSION, JPEGXL_MINOR_VERSION, JPEGXL_PATCH_VERSION);
  if (jxl.library.fault()) return {built, {}};
  auto const running = jxl.JxlDecoderVersion();  // three decimal digits each
  return {built, version_text(running / 1'000'000, running / 1000 % 1000, running % 1000)};
}

mirnet::Result<Decoded> decode_jxl(View file, char const* name, mirnet::ReadOptions const& options) {
  if (auto const loaded = load_jxl(name); !loaded) return loaded.error();
  return JxlReader(name, options).read(file);
}

namespace {

/// Whether a check succeeds in a copy of this process, where it may also crash: libjxl 0.7 ends the process on some
/// damaged profiles.
template <class Check>
bool succeeds_apart(Check const& check) {
  pid_t const copy = ::fork();
  if (copy < 0) return false;
  if (copy == 0) {
    rlimit const no_core_file{0, 0};
    static_cast<void>(::setrlimit(RLIMIT_CORE, &no_core_file));
    for (int const number : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP}) std::signal(number, SIG_DFL);
    ::_exit(check() ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(copy, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

bool jxl_takes_profile(View icc, Index colours) {
  if (!load_jxl("")) return false;
  Quiet const quiet;
  auto probe = mirnet::Image::create(8, 8, colours, SampleType::u8);
  if (!probe) return true;
  std::fill(probe->bytes().begin(), probe->bytes().end(), std::byte{128});
  Metadata metadata;
  metadata.icc.assign(icc.begin(), icc.end());
  return succeeds_apart([&] {
    return encode_image(*probe, {}, metadata).ok() && encode_image(*probe, {.lossless = true}, metadata).ok();
  });
}

mirnet::Result<std::unique_ptr<RowEncoder>> encode_jxl(ImageLayout const& layout, EncodeOptions const& options,
                                                       Metadata const& metadata) {
  MIRNET_ASSERT(layout.type != SampleType::f32);
  if (auto const loaded = load_jxl("the result"); !loaded)
    return Error(ErrorCode::output, "%s", loaded.error().message());
  auto const encode = [options, metadata](mirnet::Image const& image) {
    return encode_image(image, options, metadata);
  };
  return WholeImageEncoder<decltype(encode)>::start(layout, encode);
}

}  // namespace cli
