#pragma once
#include <cmath>
#include <cstdint>

#include "brume/diffusion/noise_schedule.h"

namespace brume {

/// Which of the timesteps of a schedule: number `i` of `points` falling ones, for a walk of `steps`.
struct TimestepPlace {
  int64_t steps;
  int64_t points;
  int64_t i;
};

/// The timestep there, which is whole but for linspace, by numpy's operations in numpy's order: they decide
/// to which side a half is rounded.
inline double spaced_timestep(const NoiseScheduleConfig& config, TimestepSpacing spacing,
                              const TimestepPlace& place) {
  const int64_t train = config.train_timesteps;
  const int64_t from_last = place.points - 1 - place.i;
  switch (spacing) {
    case TimestepSpacing::kLinspace: {  // numpy.linspace(0, train - 1, points)
      if (place.points == 1) return 0;
      if (place.i == 0) return static_cast<double>(train - 1);
      const double step = static_cast<double>(train - 1) / static_cast<double>(place.points - 1);
      return static_cast<double>(from_last) * step;
    }
    case TimestepSpacing::kTrailing: {  // numpy.arange(train, 0, -train / steps)
      const auto first = static_cast<double>(train);
      const double delta = (first - first / static_cast<double>(place.steps)) - first;
      return std::nearbyint(first + static_cast<double>(place.i) * delta) - 1;
    }
    case TimestepSpacing::kLeading:
      break;
  }
  const int64_t stride = train / place.points;
  return static_cast<double>(from_last * stride + config.steps_offset);
}

}  // namespace brume
