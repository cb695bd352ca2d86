#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/diffusion/noise_schedule.h"

namespace brume {

/// By any of the names people type: "karras", "Karras", "sgm_uniform", "SGM Uniform", "normal".
std::optional<SigmaSpacing> find_spacing(std::string_view name);
/// As find_spacing; throws kUsage for what it does not know.
SigmaSpacing spacing_from_name(std::string_view name);
std::string_view spacing_name(SigmaSpacing spacing);
/// A1111's name.
std::string_view spacing_title(SigmaSpacing spacing);

/// What a sampler in terms of sigma walks along: sigma^2 is the variance of the noise on a picture of unit
/// signal, sqrt((1 - alpha_cumprod) / alpha_cumprod).
struct SigmaSchedule {
  std::vector<double> sigmas;     // steps + 1, falling
  std::vector<double> timesteps;  // steps: what the network is told at each
};

/// Which of the timesteps belong to a schedule of n steps: n from the first to the last one, as diffusers'
/// Euler and its like take them, or n + 1 of which the last is left out, as its solvers of the DPM family do.
enum class TimestepGrid { kWithLast, kWithoutLast };
/// Where a schedule ends: at a clean picture, or at the least level of training.
enum class LastSigma { kZero, kLeast };

struct SigmaRequest {
  int64_t steps;
  SigmaSpacing spacing = SigmaSpacing::kModel;
  TimestepGrid grid = TimestepGrid::kWithLast;
  LastSigma last = LastSigma::kZero;
  bool whole_karras = false;                            // timesteps of Karras' sigmas are rounded
  TimestepSpacing unsaid = TimestepSpacing::kLinspace;  // of a model that does not say
};

/// Throws kUsage where the schedule has no so many steps.
SigmaSchedule sigma_schedule(const NoiseSchedule& schedule, const SigmaRequest& request);
/// Whether it is A1111's "Automatic": to each sampler its own (automatic_spacing).
bool is_automatic(std::string_view scheduler);
/// "14.6,4.9,0" is a list, "karras" a spacing.
bool is_sigma_list(std::string_view scheduler);
/// A list that somebody wrote: falling, positive, and perhaps a zero at the end, which is added where it is
/// missing. Throws kUsage, naming `text`.
SigmaSchedule sigma_schedule_from_text(const NoiseSchedule& schedule, const std::string& text);

/// The level of a training timestep, between neighbours by linear interpolation.
double sigma_at(const NoiseSchedule& schedule, double timestep);
/// The timestep of a level, by linear interpolation of the logarithm; that of the nearest level beyond the
/// ends.
double timestep_at(const NoiseSchedule& schedule, double sigma);

}  // namespace brume
