#include "status_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <string>

#include "standard_error.h"

namespace brume::cli {

namespace {

/// How long a line may be. One that fills the last column makes some terminals go to the next line, and one
/// that wraps does so on all: every drawing would leave one behind. Asked each time, for windows change.
size_t most_columns() {
  constexpr size_t kUsual = 80;
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return (known ? size.ws_col : kUsual) - 1;
}

}  // namespace

StatusLine::StatusLine(Show show)
    : shown_(show == Show::kAlways || (show == Show::kOnTerminals && ::isatty(STDERR_FILENO) == 1)) {}

StatusLine::~StatusLine() { clear(); }

bool StatusLine::due() const {
  constexpr std::chrono::milliseconds kBetween{100};
  return shown_ && Clock::now() - last_drawn_ >= kBetween;
}

void StatusLine::draw(std::string_view text) {
  if (!shown_) return;
  print_told("\r" + std::string(text.substr(0, most_columns())) + "\x1b[K");
  last_drawn_ = Clock::now();
  on_screen_ = true;
}

void StatusLine::clear() {
  if (!on_screen_) return;
  print_told("\r\x1b[K");
  on_screen_ = false;
}

}  // namespace brume::cli
