#include "progress.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace brume::cli {

ProgressBar::ProgressBar(int64_t total) : total_(total) {}

void ProgressBar::advance(int64_t done) {
  if (!line_.due() && done < total_) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const std::string left = rate > 0 ? duration_text(static_cast<double>(total_ - done) / rate) : "?";
  std::array<char, 64> figures{};
  std::snprintf(figures.data(), figures.size(), "%lld/%lld  %.2f steps/s  ", static_cast<long long>(done),
                static_cast<long long>(total_), rate);
  line_.draw(bar_text(done, total_) + " " + figures.data() + left + " left");
}

void ProgressBar::clear() { line_.clear(); }

std::string bar_text(int64_t done, int64_t total) {
  constexpr int64_t kWidth = 30;
  const auto filled = static_cast<size_t>(kWidth * std::min(done, total) / total);
  return "[" + std::string(filled, '#') + std::string(kWidth - filled, '.') + "]";
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
