// What a JPEG file declares, and whether its tables are sound and its scans complete up to the end-of-image marker:
// stb_image trusts the tables and paints what is missing gray. Entropy-coded data is not decoded here, so damage inside
// it is left to the decoder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include <mirnet/io/image_info.hpp>

namespace mirnet::inline MIRNET_ABI {

namespace detail {

/// Walks the segments of a JPEG file (ISO/IEC 10918-1, annex B).
class JpegCheck {
 public:
  JpegCheck(Bytes file, char const* name, ReadOptions const& options) noexcept
      : file_(file), name_(name), options_(options) {}

  Result<ImageInfo> run() noexcept {
    for (std::size_t at = 2;;) {
      while (at + 1 < file_.size() && file_[at] == std::byte{0xFF} && file_[at + 1] == std::byte{0xFF}) ++at;
      if (file_.size() - at < 2) return truncated(name_, "JPEG", file_, "the end-of-image marker");
      int const marker = number(file_[at + 1]);
      if (file_[at] != std::byte{0xFF} || marker < start_of_frame) {
        return Error(ErrorCode::input, "%s: damaged JPEG file, no marker at byte %zu", name_, at);
      }
      if (marker == end_of_image) return finish();
      auto const length = file_.size() - at < 4 ? 0 : big_at<std::uint16_t>(file_, at + 2);
      if (length < 2 || static_cast<std::size_t>(length) > file_.size() - at - 2) {
        return truncated(name_, "JPEG", file_, "the end of a segment");
      }
      auto const data = file_.subspan(at + 4, static_cast<std::size_t>(length) - 2);
      auto const checked = segment(marker, data);
      if (!checked) return checked.error();
      at += 2 + static_cast<std::size_t>(length);
      if (marker == start_of_scan) at = end_of_scan(at);
    }
  }

 private:
  static constexpr int start_of_frame = 0xC0, huffman_tables = 0xC4, end_of_image = 0xD9, start_of_scan = 0xDA,
                       quantisation_tables = 0xDB;

  struct Component {
    int id, quantisation;
    bool scanned;
  };

  /// Which of the four tables of a kind the file has defined so far.
  class Tables {
   public:
    static constexpr int count = 4;
    void define(int table) noexcept { defined_ |= 1u << table; }
    bool has(int table) const noexcept { return table < count && ((defined_ >> table) & 1) != 0; }

   private:
    unsigned defined_ = 0;
  };

  static int number(std::byte byte) noexcept { return std::to_integer<int>(byte); }
  /// Whether the byte holds a class of tables, 0 or 1, and the number of one.
  static bool names_table(std::byte byte) noexcept {
    return number(byte) >> 4 <= 1 && (number(byte) & 15) < Tables::count;
  }
  Error damage(char const* what) const noexcept { return damaged(name_, "JPEG", what); }
  std::span<Component> components() noexcept { return std::span(components_).first(count_); }

  Result<void> segment(int marker, Bytes data) noexcept {
    if (marker == huffman_tables) return read_huffman_tables(data);
    if (marker == quantisation_tables) return read_quantisation_tables(data);
    if (marker == start_of_scan) return read_scan(data);
    bool const arithmetic_or_reserved = marker == 0xC8 || marker == 0xCC;
    if (marker <= 0xCF && !arithmetic_or_reserved) return read_frame(marker, data);
    return {};
  }

  Result<void> read_frame(int marker, Bytes data) noexcept {
    if (marker > 0xC2) {
      return Error(ErrorCode::input, "%s: a JPEG of kind %d; expected baseline or progressive (0 to 2)", name_,
                   marker - start_of_frame);
    }
    if (count_ != 0) return damage("it has two frame headers");
    if (data.size() < 6) return damage("its frame header is too short");
    if (data[0] != std::byte{8}) {
      return Error(ErrorCode::input, "%s: a JPEG with %d bits a sample; expected 8", name_, number(data[0]));
    }
    auto const count = std::to_integer<std::size_t>(data[5]);
    if (count == 4) return Error(ErrorCode::input, "%s: a CMYK JPEG; convert it to RGB first", name_);
    if (count != 1 && count != 3) {
      return Error(ErrorCode::input, "%s: a JPEG with %zu components; expected 1 or 3", name_, count);
    }
    if (data.size() != 6 + 3 * count) return damage("its frame header has the wrong length");
    auto const size =
        check_size(name_, "JPEG", big_at<std::uint16_t>(data, 3), big_at<std::uint16_t>(data, 1), options_);
    if (!size) return size.error();
    info_ = *size;
    count_ = count;
    progressive_ = marker == 0xC2;
    return read_components(data.subspan(6));
  }

  Result<void> read_components(Bytes data) noexcept {
    int most_across = 1, most_down = 1;
    for (std::size_t i = 0; i < count_; ++i) {
      components_[i] = {number(data[3 * i]), number(data[3 * i + 2]), false};
      most_across = (std::max)(most_across, number(data[3 * i + 1]) >> 4);
      most_down = (std::max)(most_down, number(data[3 * i + 1]) & 15);
    }
    for (std::size_t i = 0; i < count_; ++i) {
      int const across = number(data[3 * i + 1]) >> 4, down = number(data[3 * i + 1]) & 15;
      // The decoder enlarges a component by whole factors.
      if (across == 0 || down == 0 || most_across % across != 0 || most_down % down != 0) {
        return damage("its components have resolutions that do not fit together");
      }
    }
    return {};
  }

  Result<void> read_huffman_tables(Bytes data) noexcept {
    while (!data.empty()) {
      constexpr std::size_t header = 17;  // kind and number of the table, then how many codes have 1, 2, ... 16 bits
      if (data.size() < header || !names_table(data[0])) return damage("a Huffman table is unsound");
      std::size_t codes = 0;
      for (auto const count : data.subspan(1, 16)) codes += std::to_integer<std::size_t>(count);
      if (codes > 256 || codes > data.size() - header) return damage("a Huffman table is unsound");
      (number(data[0]) >> 4 == 0 ? dc_ : ac_).define(number(data[0]) & 15);
      data = data.subspan(header + codes);
    }
    return {};
  }

  Result<void> read_quantisation_tables(Bytes data) noexcept {
    while (!data.empty()) {
      std::size_t const size = number(data[0]) >> 4 == 0 ? 65 : 129;
      if (data.size() < size || !names_table(data[0])) return damage("a quantisation table is unsound");
      quantisation_.define(number(data[0]) & 15);
      data = data.subspan(size);
    }
    return {};
  }

  Result<void> read_scan(Bytes data) noexcept {
    if (count_ == 0) return damage("a scan comes before the frame header");
    auto const count = data.empty() ? 0 : std::to_integer<std::size_t>(data[0]);
    if (count < 1 || count > count_ || data.size() != 4 + 2 * count) return damage("a scan header is unsound");
    int const first = number(data[1 + 2 * count]);
    bool const refines = number(data[3 + 2 * count]) >> 4 != 0;
    bool const needs_dc = !progressive_ || (first == 0 && !refines);
    bool const needs_ac = !progressive_ || first != 0;
    for (std::size_t i = 0; i < count; ++i) {
      int const id = number(data[1 + 2 * i]);
      auto const component =
          std::find_if(components().begin(), components().end(), [&](Component const& c) { return c.id == id; });
      if (component == components().end()) return damage("a scan names a component that the frame header lacks");
      int const tables = number(data[2 + 2 * i]);
      bool const defined = (!needs_dc || dc_.has(tables >> 4)) && (!needs_ac || ac_.has(tables & 15)) &&
                           quantisation_.has(component->quantisation);
      if (!defined) return damage("a scan needs a table that is not defined");
      component->scanned = true;
    }
    return {};
  }

  /// Where the next marker starts in entropy-coded data: an FF that is neither stuffed nor a restart marker.
  std::size_t end_of_scan(std::size_t at) const noexcept {
    for (; at + 1 < file_.size(); ++at) {
      int const next = number(file_[at + 1]);
      if (file_[at] == std::byte{0xFF} && next != 0 && next != 0xFF && (next < 0xD0 || next > 0xD7)) return at;
    }
    return file_.size();
  }

  Result<ImageInfo> finish() noexcept {
    if (count_ == 0) return damage("it ends before its frame header");
    bool const complete =
        std::all_of(components().begin(), components().end(), [](Component const& c) { return c.scanned; });
    if (!complete) return damage("it ends before all of its scans");
    return info_;
  }

  Bytes file_;
  char const* name_;
  ReadOptions const& options_;
  ImageInfo info_;
  Component components_[3] = {};
  std::size_t count_ = 0;
  bool progressive_ = false;
  Tables dc_, ac_, quantisation_;
};

}  // namespace detail

inline Result<ImageInfo> check_jpeg(std::span<std::byte const> file, char const* name,
                                    ReadOptions const& options) noexcept {
  return detail::JpegCheck(file, name, options).run();
}

}  // namespace mirnet::inline MIRNET_ABI
