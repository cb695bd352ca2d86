#include "brume/diffusion/noise_schedule.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "brume/base/error.h"
#include "timesteps.h"

namespace brume {

namespace {

/// Improved DDPM's cosine schedule (Nichol and Dhariwal 2021), each beta at most 0.999.
at::Tensor squared_cosine_betas(int64_t count) {
  const auto alpha_bar = [](double t) {
    return std::pow(std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2), 2);
  };
  std::vector<float> betas;
  for (int64_t i = 0; i < count; ++i) {
    const double t1 = static_cast<double>(i) / static_cast<double>(count);
    const double t2 = static_cast<double>(i + 1) / static_cast<double>(count);
    betas.push_back(static_cast<float>(std::min(1 - alpha_bar(t2) / alpha_bar(t1), 0.999)));
  }
  return at::tensor(betas);
}

at::Tensor betas_of(const NoiseScheduleConfig& config) {
  if (!config.trained_betas.empty()) return at::tensor(config.trained_betas).to(at::kFloat);
  switch (config.beta_schedule) {
    case BetaSchedule::kLinear:
      return at::linspace(config.beta_start, config.beta_end, config.train_timesteps, at::kFloat);
    case BetaSchedule::kScaledLinear:
      return at::linspace(std::sqrt(config.beta_start), std::sqrt(config.beta_end), config.train_timesteps,
                          at::kFloat)
          .square();
    case BetaSchedule::kSquaredCosCapV2:
      break;
  }
  return squared_cosine_betas(config.train_timesteps);
}

/// Lin et al. 2023, algorithm 1: shift and scale sqrt(alpha_bar) so that the last is 0 and the first stays.
at::Tensor with_zero_terminal_snr(const at::Tensor& betas) {
  at::Tensor roots = at::cumprod(1 - betas, 0).sqrt();
  const at::Tensor first = roots[0].clone();
  const at::Tensor last = roots[-1].clone();
  roots = (roots - last) * (first / (first - last));
  const at::Tensor alpha_bar = roots.square();
  const at::Tensor alphas =
      at::cat({alpha_bar.slice(0, 0, 1), alpha_bar.slice(0, 1) / alpha_bar.slice(0, 0, -1)});
  return 1 - alphas;
}

}  // namespace

NoiseSchedule::NoiseSchedule(NoiseScheduleConfig config) : config_(std::move(config)) {
  at::Tensor betas = betas_of(config_);
  if (config_.zero_terminal_snr) betas = with_zero_terminal_snr(betas);
  const at::Tensor alphas = at::cumprod(1 - betas, 0).contiguous();
  alphas_cumprod_.assign(alphas.const_data_ptr<float>(), alphas.const_data_ptr<float>() + alphas.numel());
}

float NoiseSchedule::alpha_cumprod_or_final(int64_t t) const {
  if (t >= 0) return alpha_cumprod(t);
  return config_.final_alpha_one ? 1.0F : alphas_cumprod_.front();
}

std::vector<int64_t> NoiseSchedule::timesteps(int64_t steps) const {
  const int64_t train = config_.train_timesteps;
  std::vector<int64_t> result;
  if (steps < 1 || steps > train) {
    throw Error(ExitCode::kUsage, "--steps " + std::to_string(steps), "out of range",
                "this model takes 1 to " + std::to_string(train));
  }
  const TimestepSpacing spacing = config_.spacing.value_or(TimestepSpacing::kLeading);
  for (int64_t i = 0; i < steps; ++i)
    result.push_back(
        static_cast<int64_t>(std::nearbyint(spaced_timestep(config_, spacing, {steps, steps, i}))));
  if (result.front() >= train) {
    throw Error(
        ExitCode::kUsage, "--steps " + std::to_string(steps),
        "begins after this model's last timestep (steps_offset " + std::to_string(config_.steps_offset) + ")",
        "use fewer steps");
  }
  return result;
}

std::vector<int64_t> NoiseSchedule::distilled_timesteps(int64_t steps) const {
  const int64_t most = std::min(config_.distilled_steps, config_.train_timesteps);
  if (steps < 1 || steps > most) {
    throw Error(ExitCode::kUsage, "--steps " + std::to_string(steps), "out of range",
                "a distilled model's sampler takes 1 to " + std::to_string(most));
  }
  std::vector<int64_t> result;
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t index = most - 1 - i * most / steps;  // falling
    result.push_back((index + 1) * (config_.train_timesteps / most) - 1);
  }
  return result;
}

}  // namespace brume
