#include "status_line.h"

#include <unistd.h>

#include <cstdio>
#include <string>

namespace brume::cli {

StatusLine::StatusLine(Show show)
    : shown_(show == Show::kAlways || (show == Show::kOnTerminals && ::isatty(STDERR_FILENO) == 1)) {}

StatusLine::~StatusLine() { clear(); }

bool StatusLine::due() const {
  constexpr std::chrono::milliseconds kBetween{100};
  return shown_ && Clock::now() - last_drawn_ >= kBetween;
}

void StatusLine::draw(std::string_view text) {
  if (!shown_) return;
  std::fprintf(stderr, "\r%s\x1b[K", std::string(text).c_str());
  std::fflush(stderr);
  last_drawn_ = Clock::now();
  on_screen_ = true;
}

void StatusLine::clear() {
  if (!on_screen_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  on_screen_ = false;
}

}  // namespace brume::cli
