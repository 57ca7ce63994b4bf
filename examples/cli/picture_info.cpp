#include "picture_info.hpp"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <nlohmann/json.hpp>

#include <mirnet/runtime/thread_pool.hpp>

#include "commands.hpp"
#include "json_name.hpp"
#include "naming.hpp"
#include "photograph_noise.hpp"
#include "report.hpp"
#include "system.hpp"

namespace cli {
namespace {

using mirnet::Index;

constexpr float levels = 255;

char const* orientation_words(int orientation) {
  static constexpr char const* words[] = {"stored upright",
                                          "stored mirrored left to right",
                                          "stored upside down",
                                          "stored mirrored top to bottom",
                                          "stored mirrored and turned left",
                                          "stored turned left",
                                          "stored mirrored and turned right",
                                          "stored turned right"};
  return words[orientation - 1];
}

char const* channel_words(mirnet::Image const& image) {
  static constexpr char const* words[] = {"gray", "gray and transparency", "RGB", "RGB and transparency"};
  return words[image.channels() - 1];
}

std::string profile_words(Picture const& picture) {
  auto const& metadata = picture.metadata;
  auto const& tags = metadata.colour;
  std::string words;
  if (!metadata.icc.empty()) {
    words = picture.profile.empty() ? "without a name" : picture.profile;
  } else if (tags.has_cicp()) {
    words = format("primaries %d, transfer %d (ITU-T H.273)", tags.cicp[0], tags.cicp[1]);
  } else if (tags.intent >= 0) {
    words = "sRGB";
  } else if (tags.gamma != 0 || tags.has_chromaticities()) {
    words = "gamma and primaries of the file";
  } else {
    words = "none, taken for sRGB";
  }
  return words + (picture.conversion ? ", converted to sRGB for the network" : "");
}

std::string exposure_words(PhotographData const& data) {
  std::string words;
  auto const add = [&](std::string const& more) { words += (words.empty() ? "" : ", ") + more; };
  if (data.exposure > 0) {
    add(data.exposure < 0.3 ? format("1/%.0f s", 1 / data.exposure) : format("%.3g s", data.exposure));
  }
  if (data.aperture > 0) add(format("f/%.3g", data.aperture));
  if (data.iso > 0) add(format("ISO %.0f", data.iso));
  if (data.focal_length > 0) add(format("%.4g mm", data.focal_length));
  return words;
}

/// Makers' names are part of most models' names.
std::string camera(PhotographData const& data) {
  auto const maker = data.make.substr(0, data.make.find(' '));
  if (data.make.empty() || (data.model.starts_with(maker) && !data.model.empty())) return data.model;
  return data.model.empty() ? data.make : data.make + ' ' + data.model;
}

void print_text(std::string const& path, Picture const& picture, PhotographData const& data,
                mirnet::NoiseEstimate const& noise) {
  auto const line = [](char const* name, std::string const& value) {
    if (!value.empty()) std::printf("%-18s%s\n", name, one_line(value).c_str());
  };
  static constexpr char const* depths[] = {"8 bits", "16 bits", "32-bit floats"};
  auto const& image = picture.image;
  line("file", path);
  line("size", format("%lld x %lld, %s", static_cast<long long>(image.width()), static_cast<long long>(image.height()),
                      pixels_text(image.pixels()).c_str()));
  line("format", traits(picture.format).name);
  line("samples", format("%s, %s", channel_words(image), depths[static_cast<int>(image.type())]));
  line("colour profile", profile_words(picture));
  line("camera", camera(data));
  line("lens", data.lens);
  line("date", data.date);
  line("exposure", exposure_words(data));
  line("orientation", orientation_words(picture.stored_orientation));
  if (!picture.metadata.resolution.empty()) {
    auto const& [x, y, per_inch] = picture.metadata.resolution;
    line("resolution", per_inch ? format("%.4g x %.4g samples an inch", x, y) : format("%.4g : %.4g", x, y));
  }
  line("GPS position", data.has_position ? "in the file" : "none");
  std::printf("%-18s%s\n", "noise", noise_word(noise));
  auto const deviation = [&](char const* name, float value) {
    line(name, format("%.2f of 255", static_cast<double>(levels * value)));
  };
  deviation("  brightness", noise.brightness);
  deviation("  dark parts", noise.dark);
  deviation("  bright parts", noise.bright);
  if (image.colours() == 3) deviation("  colour", noise.colour);
  line("  correlation",
       format("%.2f, %s", static_cast<double>(noise.correlation), correlation_word(noise.correlation)));
}

void print_json(std::string const& path, Picture const& picture, PhotographData const& data,
                mirnet::NoiseEstimate const& noise) {
  auto const& image = picture.image;
  auto const& resolution = picture.metadata.resolution;
  nlohmann::ordered_json object;
  put_name(object, "file", path);
  object["width"] = image.width();
  object["height"] = image.height();
  object["format"] = traits(picture.format).name;
  object["channels"] = image.channels();
  object["bits"] = 8 * mirnet::sample_bytes(image.type());
  object["colour_profile"] = profile_words(picture);
  auto const text = [&](char const* key, std::string const& value) {
    if (!value.empty()) object[key] = value;
  };
  text("camera", camera(data));
  text("lens", data.lens);
  text("date", data.date);
  auto const number = [](nlohmann::ordered_json& to, char const* key, double value) {
    if (value > 0) to[key] = value;
  };
  nlohmann::ordered_json exposure;
  number(exposure, "seconds", data.exposure);
  number(exposure, "f_number", data.aperture);
  number(exposure, "iso", data.iso);
  number(exposure, "focal_length", data.focal_length);
  if (!exposure.empty()) object["exposure"] = exposure;
  object["orientation"] = picture.stored_orientation;
  if (!resolution.empty()) {
    object["resolution"] = {{"x", resolution.x}, {"y", resolution.y}, {"per_inch", resolution.per_inch}};
  }
  object["gps"] = data.has_position;
  auto const scaled = [](float value) { return std::round(1000.0 * static_cast<double>(levels * value)) / 1000.0; };
  object["noise"] = {{"strength", noise_word(noise)},
                     {"brightness", scaled(noise.brightness)},
                     {"colour", scaled(noise.colour)},
                     {"dark", scaled(noise.dark)},
                     {"bright", scaled(noise.bright)},
                     {"correlation", std::round(1000.0 * static_cast<double>(noise.correlation)) / 1000.0}};
  if (!picture.warnings.empty()) object["warnings"] = picture.warnings;
  std::printf("%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

}  // namespace

bool is_picture(std::string const& path) {
  if (path == standard_stream) return true;
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path_of(path), failed)) {
    return !std::filesystem::exists(path_of(path), failed) && format_named(extension_of(path)) != nullptr;
  }
  if (extension_of(path) == "mirw") return false;
  return format_of_file(path) != nullptr || format_named(extension_of(path)) != nullptr;
}

mirnet::Result<void> print_picture_info(std::string const& path, Reading const& reading, bool as_json) {
  auto const picture = read_picture(path, reading);
  if (!picture) return picture.error();
  mirnet::ThreadPool pool;
  auto const noise = noise_of(picture->image, picture->conversion.get(), pool);
  if (!noise) return noise.error();
  auto const data = photograph_data(picture->metadata.exif);
  if (as_json) {
    print_json(path, *picture, data, *noise);
  } else {
    print_text(path, *picture, data, *noise);
    print_warnings(path, picture->warnings);
  }
  return {};
}

}  // namespace cli
