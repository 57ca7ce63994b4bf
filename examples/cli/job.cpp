#include "job.hpp"

#include <utility>

#include <mirnet/image/hot_pixels.hpp>

#include "result_mark.hpp"

namespace cli {
namespace {

mirnet::Result<mirnet::Image> cropped(mirnet::Image const& image, Rectangle const& part, std::string const& name) {
  if (auto const inside = check_inside(part, image, name); !inside) return inside.error();
  return crop(image, part);
}

mirnet::Result<Reference> read_reference(RestoreOptions const& options, std::string const& name,
                                         mirnet::Image const& input) {
  auto picture = read_picture(*options.reference, options.reading);
  if (!picture) return picture.error();
  if (options.crop) {
    auto part = cropped(picture->image, *options.crop, *options.reference);
    if (!part) return part.error();
    picture->image = *std::move(part);
  }
  auto const before = compare_images(input, name, picture->image, *options.reference);
  if (!before) return before.error();
  return Reference{std::move(picture->image), *before};
}

/// The crop comes later: views of a scene are as large as each other before that, too.
mirnet::Result<RightView> read_right(RestoreOptions const& options, std::string const& name,
                                     mirnet::Image const& left) {
  auto picture = read_picture(*options.right, options.reading);
  if (!picture) return picture.error();
  auto const& image = picture->image;
  if (image.width() != left.width() || image.height() != left.height()) {
    auto const number = [](mirnet::Index value) { return static_cast<long long>(value); };
    return mirnet::Error(mirnet::ErrorCode::input,
                         "%s has %lld x %lld pixels, and its right view %s %lld x %lld; expected the same size",
                         name.c_str(), number(left.width()), number(left.height()), options.right->c_str(),
                         number(image.width()), number(image.height()));
  }
  return RightView{std::move(picture->image), std::move(picture->conversion)};
}

}  // namespace

mirnet::Result<Job> prepare(RestoreOptions const& options, Work const& work, std::string const& mark,
                            mirnet::ParallelFor const& parallel, Report& report) {
  bool const has_result = !options.preview;
  // What is written nowhere has a format that holds everything.
  auto const named = has_result ? output_format(work, options.files.format)
                                : mirnet::Result<std::optional<Format>>(std::optional(Format::png));
  if (!named) return named.error();
  auto picture = read_picture(work.input, options.reading);
  if (!picture) return picture.error();
  auto const format = named->value_or(traits(picture->format).result);
  auto& input = picture->image;
  report.width = input.width();
  report.height = input.height();
  report.channels = input.channels();
  report.read = input.type();
  auto const stored = stored_samples(format, input.type(), options.stored);
  if (!stored) return stored.error();
  report.stored = *stored;
  auto const encoding = encoding_for(format, *picture, options.stored);
  if (!encoding) return encoding.error();
  auto const encodable = check_encodable(ImageLayout::of(input), format, work.output.c_str());
  if (!encodable) return encodable.error();
  if (!options.estimate && has_result) {
    auto const writable = work.output == standard_stream ? check_standard_output()
                                                         : check_writable(work.output, options.stored.overwrite);
    if (!writable) return writable.error();
  }
  std::optional<RightView> right;
  if (options.right) {
    auto found = read_right(options, work.input, input);
    if (!found) return found.error();
    right = *std::move(found);
  }
  if (options.crop) {
    auto part = cropped(input, *options.crop, work.input);
    if (!part) return part.error();
    input = *std::move(part);
    if (right) {
      auto same = cropped(right->image, *options.crop, *options.right);
      if (!same) return same.error();
      right->image = *std::move(same);
    }
    picture->metadata.exif = upright_exif(std::move(picture->metadata.exif), input.width(), input.height());
    report.width = input.width();
    report.height = input.height();
  }
  std::optional<Reference> reference;
  if (options.reference) {
    auto found = read_reference(options, work.input, input);
    if (!found) return found.error();
    reference = *std::move(found);
  }
  if (mirnet::sample_bytes(*stored) > mirnet::sample_bytes(input.type())) {
    // The file gets what the network computes, not 8 or 16 bits of it.
    auto deeper = mirnet::convert_samples(input, *stored);
    if (!deeper) return deeper.error();
    input = *std::move(deeper);
  }
  std::optional<mirnet::Image> original;
  if (options.hot_pixels) {
    if (options.page) {
      auto copy = mirnet::convert_samples(input, input.type());
      if (!copy) return copy.error();
      original = *std::move(copy);
    }
    auto const removed = mirnet::remove_hot_pixels(input, parallel);
    if (!removed) return removed.error();
    report.hot_pixels = *removed;
    if (right) {
      auto const more = mirnet::remove_hot_pixels(right->image, parallel);
      if (!more) return more.error();
      report.hot_pixels += *more;
    }
  }
  auto metadata = what_fits(std::move(picture->metadata), format, input.colours(), picture->warnings);
  if (traits(format).holds.exif) {
    auto const most = traits(format).longest_segment > 0 ? traits(format).longest_segment : most_metadata;
    metadata.exif = with_result_mark(std::move(metadata.exif), mark, most);
  }
  report.warnings = std::move(picture->warnings);
  bool const kept = reference || options.page || options.sharpen > 0;
  ResultFormat const result{format, *stored, kept, options.sharpen, *encoding};
  return Job{std::move(input), std::move(original),  std::move(metadata),
             result,           std::move(reference), std::move(picture->conversion),
             std::move(right)};
}

}  // namespace cli
