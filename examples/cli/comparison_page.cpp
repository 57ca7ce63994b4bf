#include "comparison_page.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

#include <mirnet/io/file.hpp>
#include <mirnet/version.hpp>

#include "codecs/formats.hpp"
#include "commands.hpp"
#include "memory_limit.hpp"

extern "C" const char mirnet_comparison_page[], mirnet_comparison_page_end[];

namespace cli {

using mirnet::Image;
using mirnet::Index;
using mirnet::SampleType;

namespace {

constexpr int jpeg_quality = 95;  // with colours in full resolution: EncodeOptions

long long number(Index value) { return static_cast<long long>(value); }

/// UTF-8 for HTML, inside of elements and of attributes in quotation marks. Control characters are shown by their
/// pictures, as HTML drops them or takes them for mistakes.
std::string escaped(std::string const& text) {
  using Json = nlohmann::json;
  auto const utf8 = Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
  std::string result;
  for (char const c : utf8) {
    auto const byte = static_cast<unsigned char>(c);
    if (byte < 32 || byte == 127) {
      result += "\xE2\x90";  // U+2400 to U+241F, and U+2421
      result += static_cast<char>(byte < 32 ? 0x80 + byte : 0xA1);
      continue;
    }
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += c;
    }
  }
  return result;
}

void append_base64(std::string& text, std::span<std::byte const> bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  text.reserve(text.size() + (bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    auto const count = (std::min)(bytes.size() - at, std::size_t{3});
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < count ? std::to_integer<std::uint32_t>(bytes[at + i]) : 0);
    }
    for (std::size_t i = 0; i < 4; ++i) text += i <= count ? digits[group >> (18 - 6 * i) & 63] : '=';
  }
}

/// 8 bits a sample, without alpha, each pixel the mean of factor x factor; the last pixels of a row or column may have
/// fewer. Errors: memory.
mirnet::Result<Image> shown(Image const& image, Index factor) {
  Index const colours = image.colours();
  auto result = Image::create((image.width() + factor - 1) / factor, (image.height() + factor - 1) / factor, colours,
                              SampleType::u8);
  if (!result) return result;
  std::vector<float> sums(static_cast<std::size_t>(result->width() * colours));
  auto* to = result->samples<std::uint8_t>().data();
  image.visit([&](auto samples) {
    using T = typename decltype(samples)::value_type;
    for (Index top = 0; top < image.height(); top += factor) {
      Index const rows = (std::min)(factor, image.height() - top);
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (Index y = top; y < top + rows; ++y) {
        auto const* from = samples.data() + y * image.width() * image.channels();
        for (Index x = 0; x < image.width(); ++x, from += image.channels()) {
          float const alpha = image.has_alpha() ? std::clamp(mirnet::to_unit<T>(from[colours]), 0.0f, 1.0f) : 1.0f;
          float* const sum = sums.data() + x / factor * colours;
          for (Index c = 0; c < colours; ++c) sum[c] += mirnet::to_unit<T>(from[c]) * alpha + (1.0f - alpha);
        }
      }
      for (Index x = 0; x < result->width(); ++x) {
        auto const count = static_cast<float>(rows * (std::min)(factor, image.width() - x * factor));
        for (Index c = 0; c < colours; ++c) {
          *to++ = mirnet::from_unit<std::uint8_t>(sums[static_cast<std::size_t>(x * colours + c)] / count);
        }
      }
    }
  });
  return result;
}

/// How the images of a pair are stored.
struct Storage {
  Index factor;  ///< that their sides are divided by
  Format format;
};

Storage storage_for(Image const& image, ComparisonPageOptions const& options) {
  auto const reduced = [](Index side, Index factor) { return (side + factor - 1) / factor; };
  Index const longest = traits(Format::jpeg).longest_side;
  Index factor = 1;
  Index width = image.width(), height = image.height();
  while (factor < (std::max)(image.width(), image.height()) &&
         (width > longest || height > longest || width > options.largest_pixels / height)) {
    ++factor;
    width = reduced(image.width(), factor);
    height = reduced(image.height(), factor);
  }
  return {factor, width <= options.lossless_pixels / height ? Format::png : Format::jpeg};
}

/// Errors: memory; output.
mirnet::Result<std::string> image_element(char const* which, Image const& image, Storage const& storage,
                                          Metadata const& colours, std::string const& caption) {
  std::optional<Image> converted;
  if (storage.factor > 1 || image.type() != SampleType::u8 || image.has_alpha()) {
    auto result = shown(image, storage.factor);
    if (!result) return result.error();
    converted = *std::move(result);
  }
  Image const& stored = converted ? *converted : image;
  std::vector<std::string> warnings;  // whoever writes the picture's result prints the same
  auto const fitting = what_fits(colours, storage.format, stored.colours(), warnings);
  auto const file = encode(stored, storage.format, {.quality = jpeg_quality}, fitting);
  if (!file) return file.error();
  auto element = format("<img class=\"%s\" width=\"%lld\" height=\"%lld\" alt=\"%s: ", which, number(stored.width()),
                        number(stored.height()), which);
  element += escaped(caption) + "\" src=\"data:image/" + (storage.format == Format::png ? "png" : "jpeg") + ";base64,";
  append_base64(element, file->bytes());
  return element + "\">\n";
}

/// A <figure>. Errors: invalid_argument; memory; output.
mirnet::Result<std::string> pair_element(Comparison const& crop, Metadata const& colours,
                                         ComparisonPageOptions const& options) {
  Image const &before = crop.before, &after = crop.after;
  if (before.width() != after.width() || before.height() != after.height() || before.pixels() == 0) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument,
                         "a comparison of images of %lld x %lld and %lld x %lld pixels; expected two of one size",
                         number(before.width()), number(before.height()), number(after.width()),
                         number(after.height()));
  }
  auto const storage = storage_for(before, options);
  std::string element = "<figure class=\"pair\"><div class=\"stage\"><div class=\"pan\"><div class=\"both\">\n";
  for (auto const& [which, image] : {std::pair("before", &before), std::pair("after", &after)}) {
    auto const part = image_element(which, *image, storage, colours, crop.caption);
    if (!part) return part.error();
    element += *part;
  }
  element += "</div></div></div><figcaption>" + escaped(crop.caption);
  std::string note;
  if (storage.factor > 1) {
    note = format("reduced to 1/%lld of %lld x %lld", number(storage.factor), number(before.width()),
                  number(before.height()));
  }
  if (storage.format == Format::jpeg) {
    note += format("%sshown as JPEG of quality %d", note.empty() ? "" : ", ", jpeg_quality);
  }
  if (!note.empty()) element += (crop.caption.empty() ? "" : "; ") + note;
  return element + "</figcaption></figure>\n";
}

}  // namespace

mirnet::Result<void> ComparisonPage::add(std::string const& name, std::span<Comparison const> crops,
                                         ComparisonFacts const& facts, Metadata const& metadata) {
  Metadata colours;
  colours.icc = metadata.icc;
  colours.colour = metadata.colour;
  std::string section = format("<section id=\"picture-%zu\">\n<h2><bdi>", pictures_ + 1);
  section += escaped(name) + "</bdi></h2>\n<div class=\"pairs\">\n";
  std::size_t left_out = 0;
  for (auto const& crop : crops) {
    auto const pair = pair_element(crop, colours, options_);
    if (!pair) return pair.error();
    if (text_.size() + section.size() + pair->size() > options_.most_bytes) {
      ++left_out;
    } else {
      section += *pair;
    }
  }
  section += "</div>\n";
  if (left_out > 0) {
    section += format(
        "<p class=\"left-out\">%zu of %zu comparisons %s left out: the page would have more than %s.</p>\n", left_out,
        crops.size(), left_out == 1 ? "is" : "are", bytes_text(static_cast<double>(options_.most_bytes)).c_str());
  }
  if (!facts.empty()) {
    section += "<div class=\"scroll\"><table><tbody>\n";
    for (auto const& [fact, value] : facts) {
      section += "<tr><th scope=\"row\">" + escaped(fact) + "</th><td>" + escaped(value) + "</td></tr>\n";
    }
    section += "</tbody></table></div>\n";
  }
  text_ += section + "</section>\n";
  ++pictures_;
  return {};
}

std::string ComparisonPage::html() const {
  std::string const page(mirnet_comparison_page, mirnet_comparison_page_end);
  constexpr std::string_view program_place = "<!-- the program goes here -->",
                             place = "<!-- the pictures go here -->\n";
  auto const program_at = page.find(program_place), at = page.find(place);
  auto const after_program = program_at + program_place.size();
  std::string html;
  html.reserve(page.size() + text_.size() + 100);
  html.append(page, 0, program_at);
  html += format("mirnet %s, %zu picture%s", MIRNET_VERSION, pictures_, pictures_ == 1 ? "" : "s");
  html.append(page, after_program, at - after_program);
  html += text_;
  html.append(page, at + place.size());
  return html;
}

bool is_own_page(std::string const& path) {
  auto const file = mirnet::InputFile::open(path.c_str(), mirnet::ErrorCode::input);
  if (!file) return false;
  std::string start(static_cast<std::size_t>(std::min<std::uint64_t>(file->size(), 1024)), '\0');
  return file->read(0, std::as_writable_bytes(std::span(start))) &&
         start.find("<meta name=\"generator\" content=\"mirnet denoise\">") != std::string::npos;
}

}  // namespace cli
