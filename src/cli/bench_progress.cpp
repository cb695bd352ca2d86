#include "bench_progress.h"

#include <unistd.h>

#include <cstdio>

namespace brume::cli {

BenchProgress::BenchProgress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

BenchProgress::~BenchProgress() { clear(); }

void BenchProgress::show(const bench::RoundsProgress& progress) {
  constexpr double kSecondsBetweenDraws = 0.2;
  const auto now = Clock::now();
  // Drawing costs time that would be measured.
  if (!terminal_ || std::chrono::duration<double>(now - last_drawn_).count() < kSecondsBetweenDraws) return;
  last_drawn_ = now;
  if (progress.round == 0) {
    std::fprintf(stderr, "\rwarming up, step %lld\x1b[K", static_cast<long long>(progress.step));
  } else {
    const double spread = progress.steps.spread().value_or(0);
    std::fprintf(stderr, "\rround %lld, step %lld: %.4g ms a step, interval %.1f %% wide\x1b[K",
                 static_cast<long long>(progress.round), static_cast<long long>(progress.step),
                 1e3 * progress.steps.median, 100 * spread);
  }
  std::fflush(stderr);
  drawn_ = true;
}

void BenchProgress::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace brume::cli
