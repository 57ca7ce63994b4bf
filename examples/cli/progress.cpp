#include "progress.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "json_name.hpp"
#include "system.hpp"

namespace cli {
namespace {

// What a signal handler may use.
std::atomic<bool> stop_asked = false, bar_on_screen = false, can_go_on = false;
std::atomic<int> uninterrupted = 0;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

[[noreturn]] void leave() {
  // In one write, which no other message can interrupt.
  std::string_view text = can_go_on ? "\r\033[Kmirnet: stopped; the same command with --skip-existing continues\n"
                                    : "\r\033[Kmirnet: stopped\n";
  if (!bar_on_screen) text.remove_prefix(std::string_view("\r\033[K").size());
  leave_at_once(text, static_cast<int>(mirnet::ErrorCode::cancelled));
}

void on_signal(int number) {
  stop_asked = true;
  if (uninterrupted == 0) leave();
  after_interrupt(number, on_signal);
}

/// Characters of a UTF-8 text that take a column, nearly: continuation bytes do not.
bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

/// The end of a name, with "..." before it where it is longer than `columns`.
std::string shortened(std::string const& name, int columns) {
  auto const characters = std::count_if(name.begin(), name.end(), starts_character);
  if (characters <= columns) return name;
  if (columns < 4) return {};
  auto skip = characters - (columns - 3);
  std::size_t at = 0;
  while (at < name.size() && (skip > 0 || !starts_character(name[at]))) skip -= starts_character(name[at++]);
  return "..." + name.substr(at);
}

}  // namespace

ProgressStyle automatic_progress() {
  bool const draws = is_terminal(2) && environment("TERM") != "dumb";
  return draws ? ProgressStyle::bar : ProgressStyle::none;
}

void end_on_interrupt() { on_interrupt(on_signal); }

void say_how_to_go_on(bool can) { can_go_on = can; }

Uninterrupted::Uninterrupted() noexcept { ++uninterrupted; }
Uninterrupted::~Uninterrupted() {
  if (--uninterrupted == 0 && stop_asked) leave();
}

std::string duration_text(double seconds) {
  if (seconds < 0.995) return format("%.2f s", std::max(seconds, 0.0));
  if (seconds < 9.95) return format("%.1f s", seconds);
  auto const whole = static_cast<long long>(std::min(seconds, 3.6e6) + 0.5);
  if (whole < 60) return format("%lld s", whole);
  if (whole < 3600) return format("%lld min %lld s", whole / 60, whole % 60);
  return format("%lld h %lld min", whole / 3600, whole / 60 % 60);
}

ProgressDisplay::ProgressDisplay(ProgressStyle style, std::string name, double megapixels, std::uint64_t macs,
                                 BatchClock const& batch)
    : batch_(batch),
      style_(style),
      name_(std::move(name)),
      megapixels_(megapixels),
      macs_(static_cast<double>(std::max<std::uint64_t>(macs, 1))),
      begin_(Clock::now()),
      drawn_(begin_ - std::chrono::seconds(1)) {}

ProgressDisplay::~ProgressDisplay() {
  if (bar_on_screen.exchange(false)) std::fputs("\r\033[K", stderr);
}

void ProgressDisplay::update(std::uint64_t macs) noexcept {
  if (style_ == ProgressStyle::none) return;
  auto const now = Clock::now();
  bool const ended = static_cast<double>(macs) >= macs_;
  if (!ended && now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  double const share = std::min(1.0, static_cast<double>(macs) / macs_);
  double const seconds = std::chrono::duration<double>(now - begin_).count();
  if (style_ == ProgressStyle::json) {
    print_json(share, seconds);
  } else {
    bar_on_screen = true;
    draw(share, seconds);
  }
}

void ProgressDisplay::print_json(double share, double seconds) const noexcept try {
  nlohmann::ordered_json line;
  put_name(line, "file", name_);
  line["progress"] = share;
  line["seconds"] = seconds;
  line["seconds_left"] = share > 0 ? seconds / share * (1 - share) : 0.0;
  if (batch_.count() > 1) {
    line["number"] = batch_.number();
    line["count"] = batch_.count();
    if (auto const left = batch_.seconds_left(share)) line["total_seconds_left"] = *left;
  }
  auto const text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::fprintf(stderr, "%s\n", text.c_str());
} catch (std::exception const&) {  // no memory
  // The line is left out: the picture may still be restored without more memory.
}

void ProgressDisplay::draw(double share, double seconds) const noexcept try {
  int const columns = terminal_columns(2).value_or(80) - 1;  // the last one makes some terminals begin a new line
  double const speed = seconds > 0 ? share * megapixels_ / seconds : 0;
  std::optional<double> left;
  if (share > 0.01) left = seconds / share * (1 - share);
  auto const line = progress_line({one_line(name_) /* a name must not steer the terminal */, share, speed, left,
                                   batch_.number(), batch_.count(), batch_.seconds_left(share)},
                                  columns);
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
} catch (std::exception const&) {  // no memory
}

std::string progress_line(ProgressFigures const& figures, int columns) {
  // "photo.jpg  [######....]  42%  0.53 MP/s  12 s left", or "3 of 120  photo.jpg  [######....]  42%  12 s left  (all:
  // 9 min 40 s)", and on narrow terminals less of it.
  bool const many = figures.count > 1;
  auto const place = many ? format("%zu of %zu  ", figures.number, figures.count) : std::string();
  auto const percent = format("%3.0f%%", figures.share * 100);
  auto const speed = format("  %.2f MP/s", figures.megapixels_a_second);
  std::string left, total;
  // Fractions of a second would only flicker.
  auto const text_of = [](double seconds) {
    return seconds > 9 ? duration_text(std::ceil(seconds)) : format("%.0f s", std::max(std::ceil(seconds), 0.0));
  };
  if (figures.seconds_left) left = "  " + text_of(*figures.seconds_left) + " left";
  if (many && figures.total_seconds_left) {
    total = "  (all: " + text_of(*figures.total_seconds_left) + ")";
  }
  auto const width = [](auto const&... parts) { return static_cast<int>((parts.size() + ...)); };
  std::string end = percent + (many ? "" : speed) + left + total;
  if (width(place, end) > columns && many && figures.total_seconds_left) {
    end = percent + "  all: " + text_of(*figures.total_seconds_left);
  }
  if (width(place, end) > columns) end = percent + left;
  if (width(place, end) > columns) end = percent;
  auto line = width(place, end) > columns ? std::string() : place;
  // The figures change their width; what stands before them is to stay.
  constexpr int usual_end = 32, usual_end_of_many = 38, narrowest_name = 8;
  int room = columns - width(line) - std::max(width(end), many ? usual_end_of_many : usual_end);
  int const bar = std::clamp(room - 18, 0, 40);
  if (bar >= 10) room -= bar + 4;
  if (room >= narrowest_name + 2) line += shortened(figures.name, room - 2) + "  ";
  if (bar >= 10) {
    int const done = static_cast<int>(figures.share * bar + 0.5);
    line += '[' + std::string(static_cast<std::size_t>(done), '#') +
            std::string(static_cast<std::size_t>(bar - done), '.') + "]  ";
  }
  return line + end.substr(0, static_cast<std::size_t>(std::max(columns, 4)));
}

}  // namespace cli
