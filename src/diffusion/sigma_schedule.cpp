#include "brume/diffusion/sigma_schedule.h"

#include <algorithm>
#include <array>
#include <boost/math/special_functions/beta.hpp>
#include <charconv>
#include <cmath>
#include <functional>
#include <span>

#include "brume/base/error.h"
#include "brume/base/split.h"
#include "folded_name.h"
#include "timesteps.h"

namespace brume {

namespace {

struct SpacingNames {
  SigmaSpacing spacing;
  std::string_view ours;
  std::string_view title;                        // A1111's, or ComfyUI's
  std::array<std::string_view, 3> aliases = {};  // where folding (folded_name.h) does not give them
};

constexpr std::array<SpacingNames, 10> kSpacings = {{
    {SigmaSpacing::kModel, "model", "Uniform", {"normal", "discrete", "default"}},
    // "k_dpmpp_2m_ka" and "dpmpp_2m_k" are A1111's and InvokeAI's.
    {SigmaSpacing::kKarras, "karras", "Karras", {"ka", "k"}},
    // A1111's polyexponential has an exponent of 1 where nobody says another.
    {SigmaSpacing::kExponential, "exponential", "Exponential", {"polyexponential"}},
    {SigmaSpacing::kBeta, "beta", "Beta"},
    {SigmaSpacing::kSgmUniform, "sgm_uniform", "SGM Uniform"},
    {SigmaSpacing::kSimple, "simple", "Simple"},
    {SigmaSpacing::kDdimUniform, "ddim_uniform", "DDIM"},
    {SigmaSpacing::kAlignYourSteps, "ays", "Align Your Steps"},
    {SigmaSpacing::kAlignYourStepsXl, "ays_xl", "Align Your Steps", {"align_your_steps_xl"}},
    {SigmaSpacing::kKlOptimal, "kl_optimal", "KL Optimal"},
}};

const SpacingNames& names_of(SigmaSpacing spacing) {
  return *std::find_if(kSpacings.begin(), kSpacings.end(),
                       [&](const SpacingNames& one) { return one.spacing == spacing; });
}

// Published with the paper: research.nvidia.com/labs/toronto-ai/AlignYourSteps, for ten steps.
constexpr std::array<double, 11> kAlignedSd1 = {14.615, 6.475, 3.861, 2.697, 1.886, 1.396,
                                                0.963,  0.652, 0.399, 0.152, 0.029};
constexpr std::array<double, 11> kAlignedXl = {14.615, 6.315, 3.771, 2.181, 1.342, 0.862,
                                               0.555,  0.380, 0.234, 0.113, 0.029};

/// From `first` to `last`, both among them.
std::vector<double> linspace(double first, double last, int64_t count) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) {
    const double share = count == 1 ? 0 : static_cast<double>(i) / static_cast<double>(count - 1);
    values.push_back(first + share * (last - first));
  }
  return values;
}

int64_t last_timestep(const NoiseSchedule& schedule) { return schedule.config().train_timesteps - 1; }

double sigma_of(const NoiseSchedule& schedule, int64_t t) {
  double alpha = schedule.alpha_cumprod(t);
  // A schedule of zero terminal SNR has no signal at its end: diffusers takes the least half number there.
  if (alpha == 0 || (schedule.config().zero_terminal_snr && t == last_timestep(schedule)))
    alpha = std::ldexp(1.0, -24);
  return std::sqrt((1 - alpha) / alpha);
}

double least_sigma(const NoiseSchedule& schedule) { return sigma_of(schedule, 0); }
double most_sigma(const NoiseSchedule& schedule) { return sigma_of(schedule, last_timestep(schedule)); }

/// Falling, as diffusers' schedulers take them from a model's scheduler_config.json.
std::vector<double> model_timesteps(const NoiseSchedule& schedule, const SigmaRequest& request) {
  const NoiseScheduleConfig& config = schedule.config();
  const TimestepSpacing spacing = config.spacing.value_or(request.unsaid);
  const bool without_last = request.grid == TimestepGrid::kWithoutLast;
  const int64_t points = request.steps + (without_last ? 1 : 0);
  // numpy's only one would be 0: a picture without its noise.
  if (points == 1 && spacing == TimestepSpacing::kLinspace)
    return {static_cast<double>(last_timestep(schedule))};
  std::vector<double> timesteps;
  for (int64_t i = 0; i < request.steps; ++i) {
    const double t = spaced_timestep(config, spacing, {request.steps, points, i});
    timesteps.push_back(without_last ? std::nearbyint(t) : t);
  }
  return timesteps;
}

std::vector<double> karras(double most, double least, int64_t steps) {
  constexpr double kRho = 7;
  std::vector<double> roots = linspace(std::pow(most, 1 / kRho), std::pow(least, 1 / kRho), steps);
  for (double& root : roots) root = std::pow(root, kRho);
  return roots;
}

std::vector<double> exponential(double most, double least, int64_t steps) {
  std::vector<double> logarithms = linspace(std::log(most), std::log(least), steps);
  for (double& one : logarithms) one = std::exp(one);
  return logarithms;
}

std::vector<double> beta(double most, double least, int64_t steps) {
  constexpr double kShape = 0.6;  // both of them
  std::vector<double> sigmas;
  for (const double quantile : linspace(1, 0, steps))
    sigmas.push_back(least + boost::math::ibeta_inv(kShape, kShape, quantile) * (most - least));
  return sigmas;
}

std::vector<double> kl_optimal(double most, double least, int64_t steps) {
  std::vector<double> angles = linspace(std::atan(most), std::atan(least), steps);
  for (double& angle : angles) angle = std::tan(angle);
  return angles;
}

/// `steps` levels of a table of steps + 1, by linear interpolation of the logarithm.
std::vector<double> from_table(std::span<const double> table, int64_t steps) {
  std::vector<double> sigmas;
  for (const double place : linspace(0, static_cast<double>(table.size() - 1), steps + 1)) {
    const auto below = std::min(static_cast<size_t>(place), table.size() - 2);
    const double share = place - static_cast<double>(below);
    sigmas.push_back(std::exp((1 - share) * std::log(table[below]) + share * std::log(table[below + 1])));
  }
  sigmas.pop_back();
  return sigmas;
}

/// As sigma_at, but by the logarithm: as k-diffusion has it.
double sigma_between(const NoiseSchedule& schedule, double timestep) {
  const auto below = std::min(static_cast<int64_t>(timestep), last_timestep(schedule) - 1);
  const double share = timestep - static_cast<double>(below);
  return std::exp((1 - share) * std::log(sigma_of(schedule, below)) +
                  share * std::log(sigma_of(schedule, below + 1)));
}

std::vector<double> sgm_uniform(const NoiseSchedule& schedule, int64_t steps) {
  std::vector<double> sigmas;
  for (const double t : linspace(static_cast<double>(last_timestep(schedule)), 0, steps + 1))
    sigmas.push_back(sigma_between(schedule, t));
  sigmas.pop_back();
  return sigmas;
}

std::vector<double> simple(const NoiseSchedule& schedule, int64_t steps) {
  const auto train = static_cast<double>(schedule.config().train_timesteps);
  std::vector<double> sigmas;
  for (int64_t i = 0; i < steps; ++i) {
    const double behind = static_cast<double>(i) * train / static_cast<double>(steps);
    sigmas.push_back(sigma_of(schedule, last_timestep(schedule) - static_cast<int64_t>(behind)));
  }
  return sigmas;
}

std::vector<double> ddim_uniform(const NoiseSchedule& schedule, int64_t steps) {
  if (steps == 1) return {most_sigma(schedule)};
  const int64_t stride = schedule.config().train_timesteps / steps;
  std::vector<double> sigmas;
  for (int64_t i = steps - 1; i >= 0; --i)
    sigmas.push_back(sigma_of(schedule, std::min(1 + i * stride, last_timestep(schedule))));
  return sigmas;
}

/// The levels of a spacing but the last; `most` and `least` are the ends of those that are made of them.
std::vector<double> spaced(const NoiseSchedule& schedule, const SigmaRequest& request, double most,
                           double least) {
  const int64_t steps = request.steps;
  switch (request.spacing) {
    case SigmaSpacing::kKarras:
      return karras(most, least, steps);
    case SigmaSpacing::kExponential:
      return exponential(most, least, steps);
    case SigmaSpacing::kBeta:
      return beta(most, least, steps);
    case SigmaSpacing::kSgmUniform:
      return sgm_uniform(schedule, steps);
    case SigmaSpacing::kSimple:
      return simple(schedule, steps);
    case SigmaSpacing::kDdimUniform:
      return ddim_uniform(schedule, steps);
    case SigmaSpacing::kAlignYourSteps:
      return from_table(kAlignedSd1, steps);
    case SigmaSpacing::kAlignYourStepsXl:
      return from_table(kAlignedXl, steps);
    case SigmaSpacing::kKlOptimal:
      return kl_optimal(most, least, steps);
    case SigmaSpacing::kModel:
      break;
  }
  return {};
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

/// Some of diffusers' schedulers tell the network whole timesteps with Karras' sigmas.
double told(double timestep, const SigmaRequest& request) {
  const bool whole = request.whole_karras && request.spacing == SigmaSpacing::kKarras;
  return whole ? std::nearbyint(timestep) : timestep;
}

}  // namespace

std::optional<SigmaSpacing> find_spacing(std::string_view name) {
  const std::string wanted = folded(name);
  for (const SpacingNames& one : kSpacings) {
    for (const std::string_view known :
         {one.ours, one.title, one.aliases[0], one.aliases[1], one.aliases[2]}) {
      if (!known.empty() && folded(known) == wanted) return one.spacing;
    }
  }
  return std::nullopt;
}

SigmaSpacing spacing_from_name(std::string_view name) {
  if (const std::optional<SigmaSpacing> known = find_spacing(name)) return *known;
  std::string known;
  for (const SpacingNames& one : kSpacings) known += (known.empty() ? "" : ", ") + std::string(one.ours);
  throw Error(ExitCode::kUsage, "--scheduler " + std::string(name), "unknown schedule",
              "choose one of " + known + ", automatic, or a list of sigmas with commas");
}

std::string_view spacing_name(SigmaSpacing spacing) { return names_of(spacing).ours; }
std::string_view spacing_title(SigmaSpacing spacing) { return names_of(spacing).title; }

double sigma_at(const NoiseSchedule& schedule, double timestep) {
  const auto last = static_cast<double>(last_timestep(schedule));
  const double place = std::clamp(timestep, 0.0, last);
  const auto below = static_cast<int64_t>(place);
  if (below == last_timestep(schedule)) return most_sigma(schedule);
  const double share = place - static_cast<double>(below);
  return (1 - share) * sigma_of(schedule, below) + share * sigma_of(schedule, below + 1);
}

double timestep_at(const NoiseSchedule& schedule, double sigma) {
  int64_t below = 0;  // the last timestep whose level is not above, but one that has a neighbour
  int64_t above = last_timestep(schedule);
  if (above == 0) return 0;
  while (above - below > 1) {
    const int64_t middle = below + (above - below) / 2;
    (sigma_of(schedule, middle) <= sigma ? below : above) = middle;
  }
  const double low = std::log(sigma_of(schedule, below));
  const double high = std::log(sigma_of(schedule, above));
  const double share = std::clamp((std::log(std::max(sigma, 1e-10)) - low) / (high - low), 0.0, 1.0);
  return static_cast<double>(below) + share;
}

SigmaSchedule sigma_schedule(const NoiseSchedule& schedule, const SigmaRequest& request) {
  if (request.steps < 1 || request.steps > last_timestep(schedule)) {
    throw Error(ExitCode::kUsage, "--steps " + std::to_string(request.steps), "out of range",
                "this model takes 1 to " + std::to_string(last_timestep(schedule)));
  }
  SigmaSchedule result;
  const std::vector<double> own = model_timesteps(schedule, request);
  if (own.front() > static_cast<double>(last_timestep(schedule))) {
    throw Error(ExitCode::kUsage, "--steps " + std::to_string(request.steps),
                "begins after this model's last timestep (steps_offset " +
                    std::to_string(schedule.config().steps_offset) + ")",
                "use fewer steps");
  }
  if (request.spacing == SigmaSpacing::kModel) {
    result.timesteps = own;
    for (const double t : own) result.sigmas.push_back(sigma_at(schedule, t));
  } else {
    const bool all = request.grid == TimestepGrid::kWithoutLast || own.size() == 1;
    result.sigmas = spaced(schedule, request, all ? most_sigma(schedule) : sigma_at(schedule, own.front()),
                           all ? least_sigma(schedule) : sigma_at(schedule, own.back()));
    for (const double sigma : result.sigmas)
      result.timesteps.push_back(told(timestep_at(schedule, sigma), request));
  }
  result.sigmas.push_back(request.last == LastSigma::kZero ? 0 : least_sigma(schedule));
  return result;
}

bool is_automatic(std::string_view scheduler) { return folded(scheduler) == "automatic"; }

bool is_sigma_list(std::string_view scheduler) { return scheduler.find_first_of("0123456789.") == 0; }

SigmaSchedule sigma_schedule_from_text(const NoiseSchedule& schedule, const std::string& text) {
  const auto refuse = [&](const std::string& problem) {
    throw Error(ExitCode::kUsage, "--scheduler " + text, problem,
                "write falling sigmas with commas, such as 14.6,4.9,1.6,0.5,0");
  };
  // Far beyond what models are trained at (0.03 to 15, and 700 with zero terminal SNR's rescaling).
  constexpr double kLeastSigma = 1e-5;
  constexpr double kMostSigma = 1e5;
  SigmaSchedule result;
  for (const std::string_view part : split(text, ',')) {
    const std::string_view item = trimmed(part);
    double sigma = -1;
    const auto [stop, failed] = std::from_chars(item.data(), item.data() + item.size(), sigma);
    if (failed != std::errc() || stop != item.data() + item.size() || !(sigma >= 0))
      refuse('"' + std::string(item) + "\" is no sigma");
    if (sigma != 0 && (sigma < kLeastSigma || sigma > kMostSigma))
      refuse(std::string(item) + " is not from 0.00001 to 100000");
    if (!result.sigmas.empty() && sigma >= result.sigmas.back()) refuse("they do not fall");
    result.sigmas.push_back(sigma);
  }
  if (result.sigmas.back() != 0) result.sigmas.push_back(0);
  if (result.sigmas.size() < 2) refuse("a single zero is no schedule");
  for (size_t i = 0; i + 1 < result.sigmas.size(); ++i)
    result.timesteps.push_back(timestep_at(schedule, result.sigmas[i]));
  return result;
}

}  // namespace brume
