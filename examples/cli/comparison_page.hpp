// The page that shows pictures before and after: one HTML file that needs nothing but itself, with a slider over each
// pair of crops or whole pictures.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <mirnet/base/result.hpp>
#include <mirnet/image/image.hpp>

#include "codecs/metadata.hpp"

namespace cli {

/// A crop of a picture, or all of it. Both images have one size; what is not of 8 bits is shown so, and what is
/// transparent is shown on white.
struct Comparison {
  std::string caption;  ///< "at 1200, 340, 512 x 512"
  mirnet::Image before, after;
};

/// What is known of a picture, in the order of the rows: {"size", "6000 x 4000"}, {"time", "12.3 s"}.
using ComparisonFacts = std::vector<std::pair<std::string, std::string>>;

struct ComparisonPageOptions {
  mirnet::Index lossless_pixels = 1 << 20;        ///< images of more become JPEGs of quality 95
  mirnet::Index largest_pixels = 40'000'000;      ///< images of more are reduced by a whole factor
  std::size_t most_bytes = std::size_t{1} << 28;  ///< of the page; images that it has no room for are left out
};

/// Pictures are added as they are finished; of each, what the file will hold is kept, and no pixels. Names and other
/// texts may hold any bytes: what is not UTF-8 becomes U+FFFD. The page says which images are JPEGs, reduced or left
/// out.
class ComparisonPage {
 public:
  explicit ComparisonPage(ComparisonPageOptions const& options = {}) : options_(options) {}

  /// Adds a picture with its crops. `metadata` says what its colours are, as it would in a file; nothing else of it
  /// gets into the page. Errors: invalid_argument, where the images of a pair differ in size; memory; output, where an
  /// encoder refuses an image. After an error the page is as it was before.
  mirnet::Result<void> add(std::string const& name, std::span<Comparison const> crops, ComparisonFacts const& facts,
                           Metadata const& metadata = {});

  std::size_t pictures() const { return pictures_; }

  /// How much of the page there is, in bytes: about the memory that this takes.
  std::size_t bytes() const { return text_.size(); }

  /// The page.
  std::string html() const;

 private:
  ComparisonPageOptions options_;
  std::string text_;  ///< a <section> for each picture
  std::size_t pictures_ = 0;
};

/// Whether a file is such a page.
bool is_own_page(std::string const& path);

}  // namespace cli
