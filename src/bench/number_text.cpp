#include "number_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace brume::bench {

namespace {

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

}  // namespace

std::string number_text(double value) {
  constexpr int kDigits = 3;
  if (value == 0 || !std::isfinite(value)) return fixed(value, 0);
  const int before_point = static_cast<int>(std::floor(std::log10(std::abs(value)))) + 1;
  return fixed(value, std::clamp(kDigits - before_point, 0, 6));
}

std::string short_text(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string percent_text(double share) { return fixed(100 * share, 1) + "%"; }

std::string signed_percent(double share) { return (share >= 0 ? "+" : "") + percent_text(share); }

std::string bytes_text(double bytes) {
  constexpr double kStep = 1024;
  const char* unit = "B";
  for (const char* larger : {"KiB", "MiB", "GiB", "TiB"}) {
    if (bytes < kStep) break;
    bytes /= kStep;
    unit = larger;
  }
  return fixed(bytes, *unit == 'B' ? 0 : 1) + " " + unit;
}

}  // namespace brume::bench
