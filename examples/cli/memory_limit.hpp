// Sizes of memory as users say them, and how much of it a picture may take.
#pragma once

#include <string>

#include <mirnet/base/result.hpp>

#include "measure/size.hpp"

namespace cli {

/// Bytes of "500M", "2G", "1.5GiB" or "800000k": units of 1024, of which a number alone has none. Errors:
/// invalid_argument.
mirnet::Result<double> parse_bytes(std::string const& text);

/// "1.23 GiB" or "45.6 MiB".
std::string bytes_text(double bytes);

/// What may be taken in addition to what the process holds now: up to `limit` for the whole process, or, without one
/// (0), three quarters of what is free. Infinite where the system tells nothing.
double memory_budget(double limit);

/// What the budget with this limit is and where it comes from, for error messages.
std::string budget_text(double limit);

/// The error where a picture needs more than the budget with this limit, with what the user may do about it.
mirnet::Error too_little_memory(measure::Size picture, double needed, double limit, std::string const& remedy);

}  // namespace cli
