#include "bench_progress.h"

#include <array>
#include <cstdio>

namespace brume::cli {

void BenchProgress::show(const bench::RoundsProgress& progress) {
  if (!line_.due()) return;
  std::array<char, 128> text{};
  if (progress.round == 0) {
    std::snprintf(text.data(), text.size(), "warming up, step %lld", static_cast<long long>(progress.step));
  } else {
    std::snprintf(text.data(), text.size(), "round %lld, step %lld: %.4g ms a step, interval %.1f %% wide",
                  static_cast<long long>(progress.round), static_cast<long long>(progress.step),
                  1e3 * progress.steps.median, 100 * progress.steps.spread().value_or(0));
  }
  line_.draw(text.data());
}

void BenchProgress::clear() { line_.clear(); }

}  // namespace brume::cli
