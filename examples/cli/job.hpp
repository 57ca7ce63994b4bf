// A picture that is ready for the computation: whatever can go wrong with its files has been looked at.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "commands.hpp"
#include "picture_writer.hpp"
#include "report.hpp"
#include "restore_options.hpp"

namespace cli {

struct Reference {
  mirnet::Image image;
  Likeness before;
};

/// A right view, of the size of the left one.
struct RightView {
  mirnet::Image image;
  std::shared_ptr<ColourConversion const> conversion;
};

struct Job {
  mirnet::Image input;                    ///< that the network gets
  std::optional<mirnet::Image> original;  ///< for a page, where it is not the input
  Metadata metadata;
  ResultFormat format;
  std::optional<Reference> reference;
  std::shared_ptr<ColourConversion const> conversion;
  std::optional<RightView> right;

  mirnet::Image const& before() const { return original ? *original : input; }
};

/// Reads a picture and checks that its result can be written. `mark` names what makes the result, for its metadata.
/// Notes in `report` what the file says. Errors: of reading and of `check_writable`; invalid_argument and output, where
/// the result's format does not hold the picture.
mirnet::Result<Job> prepare(RestoreOptions const& options, Work const& work, std::string const& mark,
                            mirnet::ParallelFor const& parallel, Report& report);

}  // namespace cli
