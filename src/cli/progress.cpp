#include "progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace brume::cli {

namespace {

constexpr int kWidth = 30;
constexpr double kSecondsBetweenDraws = 0.1;

}  // namespace

ProgressBar::ProgressBar(int64_t total) : total_(total), terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::advance(int64_t done) {
  const auto now = Clock::now();
  const bool due = std::chrono::duration<double>(now - last_drawn_).count() >= kSecondsBetweenDraws;
  if (!terminal_ || (!due && done < total_)) return;
  last_drawn_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const std::string left = rate > 0 ? duration_text(static_cast<double>(total_ - done) / rate) : "?";
  const auto filled = static_cast<size_t>(kWidth * done / total_);
  const std::string bar = std::string(filled, '#') + std::string(kWidth - filled, '.');
  std::fprintf(stderr, "\r[%s] %lld/%lld  %.2f steps/s  %s left\x1b[K", bar.c_str(),
               static_cast<long long>(done), static_cast<long long>(total_), rate, left.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

std::string duration_text(double seconds) {
  const auto whole = std::llround(seconds);
  constexpr long long kMinute = 60;
  constexpr long long kHour = 3600;
  if (whole < kMinute) return std::to_string(whole) + " s";
  if (whole < kHour)
    return std::to_string(whole / kMinute) + " min " + std::to_string(whole % kMinute) + " s";
  return std::to_string(whole / kHour) + " h " + std::to_string(whole % kHour / kMinute) + " min";
}

}  // namespace brume::cli
