// Parts of a photograph: rectangles that the user names, and crops that show best what a network does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <mirnet/base/result.hpp>
#include <mirnet/image/image.hpp>

namespace cli {

/// A part of an image, in pixels from its upper left corner.
struct Rectangle {
  mirnet::Index x = 0, y = 0, width = 0, height = 0;

  bool operator==(Rectangle const&) const = default;
};

/// "at 1200, 340, 512 x 512".
std::string text(Rectangle const& part);

/// Reads "X,Y,WIDTH,HEIGHT". Errors: invalid_argument, where it is anything else or has no pixels.
mirnet::Result<Rectangle> parse_rectangle(std::string_view text);

/// Whether the part lies inside of the image. `name` is for the sentence. Errors: invalid_argument.
mirnet::Result<void> check_inside(Rectangle const& part, mirnet::Image const& image, std::string const& name);

/// A copy of a part. Errors: invalid_argument, where it does not lie inside of the image; memory.
mirnet::Result<mirnet::Image> crop(mirnet::Image const& image, Rectangle const& part);

/// At most `count` crops of side x side pixels, less where the image is smaller. They are, in this order: where the
/// picture has most detail, where it is dark and flat, where it is flat and of medium brightness, and where colours
/// change most; then further ones of each kind. They do not overlap as long as there is room, and never by more than a
/// quarter of their area; where there is no room for `count`, there are fewer, but always one. The same image gives the
/// same crops.
std::vector<Rectangle> telling_crops(mirnet::Image const& image, int count = 4, mirnet::Index side = 512);

}  // namespace cli
