#include "progress.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "json_name.hpp"

namespace cli {
namespace {

// What a signal handler may use.
std::atomic<bool> stop_asked = false, bar_on_screen = false;
std::atomic<int> uninterrupted = 0;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

[[noreturn]] void leave() {
  auto const say = [](std::string_view text) { return ::write(STDERR_FILENO, text.data(), text.size()); };
  if (bar_on_screen) static_cast<void>(say("\r\033[K"));
  static_cast<void>(say("mirnet: stopped\n"));
  ::_exit(static_cast<int>(mirnet::ErrorCode::cancelled));
}

void on_interrupt(int) {
  stop_asked = true;
  if (uninterrupted == 0) leave();
}

int terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
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
  char const* const terminal = std::getenv("TERM");
  bool const draws = ::isatty(STDERR_FILENO) != 0 && (terminal == nullptr || std::string_view(terminal) != "dumb");
  return draws ? ProgressStyle::bar : ProgressStyle::none;
}

void end_on_interrupt() {
  for (int const number : {SIGINT, SIGTERM}) {
    // Who starts a program so that it ignores Ctrl-C (nohup, a shell's background) wants that.
    if (std::signal(number, on_interrupt) == SIG_IGN) std::signal(number, SIG_IGN);
  }
}

Uninterrupted::Uninterrupted() noexcept { ++uninterrupted; }
Uninterrupted::~Uninterrupted() {
  if (--uninterrupted == 0 && stop_asked) leave();
}

std::string clock_text(double seconds) {
  auto const whole = static_cast<long long>(std::min(seconds, 359999.0) + 0.5);
  char text[32];
  if (whole < 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return text;
}

ProgressDisplay::ProgressDisplay(ProgressStyle style, std::string name, double megapixels, std::uint64_t macs)
    : style_(style),
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
  auto const text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::fprintf(stderr, "%s\n", text.c_str());
} catch (std::exception const&) {  // no memory
  // The line is left out: the picture may still be restored without more memory.
}

void ProgressDisplay::draw(double share, double seconds) const noexcept {
  // "photo.jpg  [######....]  42%  0.53 MP/s  0:12 left", and on narrow terminals less of it, the important last.
  char figures[96];
  double const speed = seconds > 0 ? share * megapixels_ / seconds : 0;
  std::string const left = share > 0.01 ? clock_text(seconds / share * (1 - share)) + " left" : "";
  int const columns = terminal_columns() - 1;  // the last one makes some terminals begin a new line
  std::snprintf(figures, sizeof figures, "%3.0f%%  %.2f MP/s  %s", share * 100, speed, left.c_str());
  int const figures_width = 5 + 2 + 10 + 2 + 12;
  int const bar_width = std::clamp(columns - figures_width - 22, 0, 40);
  std::string line = "\r";
  if (int const room = columns - figures_width - (bar_width > 0 ? bar_width + 4 : 0) - 2; room >= 8) {
    line += shortened(one_line(name_), room) /* a name must not steer the terminal */ + "  ";
  }
  if (bar_width >= 10) {
    int const done = static_cast<int>(share * bar_width + 0.5);
    line += '[';
    line.append(static_cast<std::size_t>(done), '#').append(static_cast<std::size_t>(bar_width - done), '.') += "] ";
  }
  line += std::string_view(figures).substr(0, static_cast<std::size_t>(std::max(columns - 1, 4)));
  std::fprintf(stderr, "%s\033[K", line.c_str());
  std::fflush(stderr);
}

}  // namespace cli
