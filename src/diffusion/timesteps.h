#pragma once
#include <cstdint>

namespace brume {

// Timesteps before they are rounded, by numpy's operations in numpy's order.

/// numpy.linspace(0, train - 1, points)[i]
inline double linspace_timestep(int64_t train, int64_t points, int64_t i) {
  if (points == 1) return static_cast<double>(train - 1);  // numpy's is 0: a picture without its noise
  if (i == points - 1) return static_cast<double>(train - 1);
  return static_cast<double>(i) * (static_cast<double>(train - 1) / static_cast<double>(points - 1));
}

/// numpy.arange(train, 0, -train / steps)[i]
inline double trailing_timestep(int64_t train, int64_t steps, int64_t i) {
  const auto first = static_cast<double>(train);
  const double delta = (first - first / static_cast<double>(steps)) - first;
  return first + static_cast<double>(i) * delta;
}

}  // namespace brume
