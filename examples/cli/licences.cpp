#include "licences.hpp"

#include <cstdint>
#include <cstdio>
#include <span>
#include <string_view>
#include <utility>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>
#if MIRNET_HAS_LCMS
#include <lcms2.h>
#endif
#if MIRNET_HAS_WEBP
#include <webp/decode.h>
#endif
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#if !MIRNET_NO_SIMD
#include <xsimd/config/xsimd_config.hpp>
#endif
#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif
#if defined(__linux__)
#include <seccomp.h>
#endif

#include <mirnet/io/bytes.hpp>

#include "codecs/codec.hpp"
#include "commands.hpp"
#include "weights.hpp"

extern "C" char const mirnet_notices[], mirnet_notices_end[];  // THIRD-PARTY-NOTICES
extern "C" char const mirnet_licence[], mirnet_licence_end[];  // LICENSE

// A macro's value as text.
#define MIRNET_TEXT_(value) #value
#define MIRNET_TEXT(value) MIRNET_TEXT_(value)

namespace cli {
namespace {

std::string numbers(int major, int minor, int patch) { return format("%d.%d.%d", major, minor, patch); }

/// A line of the table. `running` is the version of the library that is there now, where it can tell.
std::string part(char const* name, std::string const& built, std::string const& running, char const* licence) {
  auto const version = built == running ? built : running + " (built with " + built + ")";
  return format("%-16s %-10s %s\n", name, version.c_str(), licence);
}
std::string part(char const* name, std::string const& built, char const* licence) {
  return part(name, built, built, licence);
}

/// What the metadata of the weights that are built in says; the program may have been built with anybody's.
std::string licence_of_weights() {
  auto const file = builtin_weights();
  auto const offset =
      mirnet::load_little<std::uint64_t>(file.data() + 112);  // of the metadata, which is the file's end
  if (offset > file.size()) return "not known";
  auto const metadata = file.subspan(static_cast<std::size_t>(offset));
  std::string const lines = '\n' + std::string(reinterpret_cast<char const*>(metadata.data()), metadata.size());
  constexpr std::string_view key = "\nlicence=";
  auto const found = lines.find(key);
  if (found == std::string::npos) return "not told by the weight file";
  auto const begin = found + key.size();
  return one_line(lines.substr(begin, lines.find('\n', begin) - begin));
}

std::string licences(std::string const& version) {
  std::string text = version + ", Apache-2.0\nbuilt-in weights: " + licence_of_weights() + "\n\n";
#if !MIRNET_NO_SIMD
  text += part("xsimd", numbers(XSIMD_VERSION_MAJOR, XSIMD_VERSION_MINOR, XSIMD_VERSION_PATCH), "BSD-3-Clause, SunPro");
#endif
  text += part("stb_image", MIRNET_STB_IMAGE_VERSION, "MIT or public domain");
  text += part("stb_image_write", MIRNET_STB_IMAGE_WRITE_VERSION, "MIT or public domain");
  text += part("CLI11", CLI11_VERSION, "BSD-3-Clause");
  text += part("nlohmann JSON",
               numbers(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH), "MIT");
  text += part("libpng", PNG_LIBPNG_VER_STRING, png_get_libpng_ver(nullptr), "libpng-2.0");
#if defined(LIBJPEG_TURBO_VERSION)
  text += part("libjpeg-turbo", MIRNET_TEXT(LIBJPEG_TURBO_VERSION), "IJG, BSD-3-Clause, Zlib");
#else
  text += part("libjpeg", MIRNET_TEXT(JPEG_LIB_VERSION), "IJG");
#endif
  text += part("zlib", ZLIB_VERSION, zlibVersion(), "Zlib");
#if MIRNET_HAS_WEBP
  auto const webp = WebPGetDecoderVersion();
  text += part("libwebp", numbers(webp >> 16, webp >> 8 & 255, webp & 255), "BSD-3-Clause");
#endif
#if MIRNET_HAS_LCMS
  auto const lcms = [](int number) { return numbers(number / 1000, number % 1000 / 10, number % 10); };
  text += part("Little CMS", lcms(LCMS_VERSION), lcms(cmsGetEncodedCMMversion()), "MIT");
#endif
  // Those that are loaded when a picture needs them may be missing here.
  auto const loaded = [&](char const* name, LibraryVersions const& versions, char const* licence) {
    text += part(name, versions.built, versions.running.empty() ? versions.built : versions.running, licence);
  };
#if MIRNET_HAS_TIFF
  loaded("libtiff", tiff_versions(), "libtiff");
#endif
#if MIRNET_HAS_AVIF
  loaded("libavif", avif_versions(), "BSD-2-Clause");
#endif
#if MIRNET_HAS_JXL
  loaded("libjxl", jxl_versions(), "BSD-3-Clause");
#endif
#if MIRNET_HAS_RAW
  loaded("LibRaw", raw_versions(), "LGPL-2.1-or-later or CDDL-1.0");
#endif
  static_cast<void>(loaded);
#if defined(__linux__)
  auto const running = seccomp_version();
  text += part(
      "libseccomp", numbers(SCMP_VER_MAJOR, SCMP_VER_MINOR, SCMP_VER_MICRO),
      numbers(static_cast<int>(running->major), static_cast<int>(running->minor), static_cast<int>(running->micro)),
      "LGPL-2.1-only");
#endif
#if defined(_LIBCPP_VERSION)
  text += part("libc++", MIRNET_TEXT(_LIBCPP_VERSION), "Apache-2.0 with LLVM exceptions");
#elif defined(__GLIBCXX__)
  text += part("libstdc++", MIRNET_TEXT(_GLIBCXX_RELEASE), "GPL-3.0-or-later with GCC's exception");
#endif
#if defined(__MINGW64_VERSION_MAJOR)
  text += part("MinGW-w64", MIRNET_TEXT(__MINGW64_VERSION_MAJOR) "." MIRNET_TEXT(__MINGW64_VERSION_MINOR),
               "ZPL-2.1, MIT, BSD-3-Clause");
#endif
#if defined(__GLIBC__)
  text += part("glibc", MIRNET_TEXT(__GLIBC__) "." MIRNET_TEXT(__GLIBC_MINOR__), gnu_get_libc_version(),
               "LGPL-2.1-or-later");
#endif
  text += '\n' + std::string(mirnet_notices, mirnet_notices_end);
  text += "\n\nThe licence of mirnet\n---------------------\n" + std::string(mirnet_licence, mirnet_licence_end);
  return text;
}

}  // namespace

void add_licences(CLI::App& program, std::function<std::string()> version) {
  program.add_flag_callback(
      "--licences,--licenses", [version = std::move(version)] { throw CLI::CallForVersion(licences(version()), 0); },
      "print the versions and licences of all parts");
}

}  // namespace cli
