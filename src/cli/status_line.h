#pragma once
#include <chrono>
#include <string_view>

namespace brume::cli {

/// Where a status line goes.
enum class Show { kOnTerminals, kAlways, kNever };

/// A line at the bottom of standard error that is drawn over itself. Gone with the object.
class StatusLine {
 public:
  explicit StatusLine(Show show = Show::kOnTerminals);
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  /// Whether it is shown at all.
  bool shown() const { return shown_; }
  /// Whether it is shown, and the last drawing is long enough ago: drawing costs time.
  bool due() const;
  /// Cut to the terminal's width; `text` is ASCII, a column each.
  void draw(std::string_view text);
  /// Takes it off the screen, so that a line can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  bool shown_;
  bool on_screen_ = false;
  Clock::time_point last_drawn_;
};

}  // namespace brume::cli
