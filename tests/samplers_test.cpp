#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "brume/base/error.h"
#include "brume/diffusion/samplers.h"
#include "brume/diffusion/sigma_samplers.h"

// The samplers against a picture whose walk is known: for normal data of unit variance the denoised picture
// is x / (1 + sigma^2), and the flow keeps x / sqrt(1 + sigma^2).
namespace brume {
namespace {

using Walk = at::Tensor (*)(at::Tensor, const SigmaWalk&);

at::Tensor denoise(const at::Tensor& x, double sigma) { return x / (1 + sigma * sigma); }

/// From sigma 10 to 0.1, evenly in the logarithm.
std::vector<double> sigmas(int64_t steps) {
  std::vector<double> all;
  for (int64_t i = 0; i <= steps; ++i)
    all.push_back(10 * std::pow(0.01, static_cast<double>(i) / static_cast<double>(steps)));
  return all;
}

SigmaWalk walk_of(std::vector<double> along, double eta) {
  SigmaWalk walk;
  walk.sigmas = std::move(along);
  walk.denoise = [](const at::Tensor& x, double sigma, std::optional<int64_t>) {
    return Denoised{denoise(x, sigma), denoise(x, sigma)};
  };
  walk.arrive = [](int64_t, const at::Tensor&) { return true; };
  walk.eta = eta;
  return walk;
}

/// (Later, the error of UniPC's last step, which is of first order, is of the other sign and cancels the
/// rest.)
double error_of(Walk sampler, int64_t steps) {
  const at::Tensor x = at::full({1}, 7.0, at::kDouble);
  SigmaWalk walk = walk_of(sigmas(steps), /*eta=*/0);
  walk.noise = [] {
    ADD_FAILURE() << "noise where there is none to add";
    return at::zeros({1}, at::kDouble);
  };
  const double exact = 7 * std::sqrt((1 + 0.01) / (1 + 100.0));
  return std::abs(sampler(x, walk).item<double>() - exact);
}

struct Order {
  const char* name;
  Walk sampler;
  double least;  // halving the steps' length divides the error by 2^order
  int64_t steps = 80;
};

class Converges : public ::testing::TestWithParam<Order> {};

TEST_P(Converges, WithItsOrder) {
  const double coarse = error_of(GetParam().sampler, GetParam().steps);
  const double fine = error_of(GetParam().sampler, 2 * GetParam().steps);
  EXPECT_LT(fine, 1e-2);
  EXPECT_GT(std::log2(coarse / fine), GetParam().least) << coarse << " " << fine;
}

INSTANTIATE_TEST_SUITE_P(All, Converges,
                         ::testing::Values(Order{"euler", euler, 0.9}, Order{"euler_a", euler_ancestral, 0.9},
                                           Order{"euler_cfg_pp", euler_cfg_pp, 0.9}, Order{"heun", heun, 1.8},
                                           Order{"dpm_2", dpm_2, 1.8}, Order{"dpm_2_a", dpm_2_ancestral, 1.8},
                                           Order{"dpmpp_2s_a", dpmpp_2s_ancestral, 1.8},
                                           Order{"dpmpp_2m", dpmpp_2m, 1.8},
                                           Order{"dpmpp_sde", dpmpp_sde, 1.8},
                                           Order{"dpmpp_2m_sde", dpmpp_2m_sde, 1.8},
                                           Order{"dpmpp_3m_sde", dpmpp_3m_sde, 1.8}, Order{"lms", lms, 1.8},
                                           Order{"deis", deis, 1.8}, Order{"unipc", unipc, 1.8, 20}),
                         [](const auto& one) { return std::string(one.param.name); });

struct Noisy {
  const char* name;
  Walk sampler;
};

class KeepsVariance : public ::testing::TestWithParam<Noisy> {};

/// A walk over all noise levels must end with the variance of the data at the last sigma.
TEST_P(KeepsVariance, OfTheData) {
  at::manual_seed(11);
  constexpr int64_t kMany = 50000;
  const std::vector<double> along = sigmas(240);
  const auto normal = [] { return at::randn({kMany}, at::kDouble); };
  SigmaWalk walk = walk_of(along, /*eta=*/1);
  int draws = 0;
  walk.noise = [&] {
    ++draws;
    return normal();
  };
  const at::Tensor x = normal() * std::sqrt(1 + along.front() * along.front());
  const double variance = GetParam().sampler(x, walk).square().mean().item<double>();
  EXPECT_GE(draws, 240);
  EXPECT_NEAR(variance, 1 + along.back() * along.back(), 0.03);
}

INSTANTIATE_TEST_SUITE_P(All, KeepsVariance,
                         ::testing::Values(Noisy{"euler_a", euler_ancestral},
                                           Noisy{"dpm_2_a", dpm_2_ancestral},
                                           Noisy{"dpmpp_2s_a", dpmpp_2s_ancestral},
                                           Noisy{"dpmpp_sde", dpmpp_sde}, Noisy{"dpmpp_2m_sde", dpmpp_2m_sde},
                                           Noisy{"dpmpp_3m_sde", dpmpp_3m_sde}),
                         [](const auto& one) { return std::string(one.param.name); });

/// Adams and Bashforth's coefficients are those of equal steps: evenly in sigma they are of fourth order.
TEST(EqualSteps, AreOfHighOrder) {
  const auto error = [](Walk sampler, int64_t steps) {
    std::vector<double> even;
    for (int64_t i = 0; i <= steps; ++i)
      even.push_back(3 - 2 * static_cast<double>(i) / static_cast<double>(steps));
    const at::Tensor x = at::full({1}, 2.0, at::kDouble);
    return std::abs(sampler(x, walk_of(even, 0)).item<double>() - 2 * std::sqrt(2.0 / 10));
  };
  for (const Walk sampler : {plms, ipndm, lms}) {
    // The first steps are of lower order, and all that is left of the error.
    EXPECT_GT(std::log2(error(sampler, 40) / error(sampler, 80)), 1.8);
    EXPECT_LT(error(sampler, 80), 1e-4);
  }
}

TEST(Guidance, OfCfgPlusPlusPutsTheNegativeNoiseBack) {
  SigmaWalk walk = walk_of({2, 1}, 0);
  walk.denoise = [](const at::Tensor& x, double, std::optional<int64_t>) {
    return Denoised{x * 0 + 5, x * 0 + 1};
  };
  const at::Tensor x = at::full({1}, 9.0, at::kDouble);
  EXPECT_DOUBLE_EQ(euler_cfg_pp(x, walk).item<double>(), 5 + (9 - 1) / 2.0);
}

TEST(Walks, StopWhereTheObserverSays) {
  for (const Walk sampler : {euler, heun, dpmpp_2m, dpmpp_3m_sde, lms, plms, ipndm, deis, unipc}) {
    SigmaWalk walk = walk_of(sigmas(10), 0);
    int64_t steps = 0;
    walk.arrive = [&](int64_t step, const at::Tensor&) { return ++steps, step < 3; };
    sampler(at::ones({1}, at::kDouble), walk);
    EXPECT_EQ(steps, 4);
  }
}

NoiseSchedule stable_diffusion() {
  NoiseScheduleConfig config;
  config.beta_schedule = BetaSchedule::kScaledLinear;
  config.beta_start = 0.00085;
  config.beta_end = 0.012;
  return NoiseSchedule(config);
}

TEST(SigmaSchedules, FallFromTheMostToZero) {
  const NoiseSchedule schedule = stable_diffusion();
  for (const char* name : {"model", "karras", "exponential", "beta", "sgm_uniform", "simple", "ddim_uniform",
                           "ays", "ays_xl", "kl_optimal"}) {
    for (const int64_t steps : {1, 2, 10, 37, 200}) {
      for (const TimestepGrid grid : {TimestepGrid::kWithLast, TimestepGrid::kWithoutLast}) {
        const SigmaSchedule made = sigma_schedule(schedule, {steps, spacing_from_name(name), grid});
        SCOPED_TRACE(std::string(name) + " " + std::to_string(steps));
        ASSERT_EQ(made.sigmas.size(), static_cast<size_t>(steps) + 1);
        ASSERT_EQ(made.timesteps.size(), static_cast<size_t>(steps));
        EXPECT_EQ(made.sigmas.back(), 0);
        // ddim_uniform begins a stride before the end.
        EXPECT_NEAR(made.sigmas.front(), 14.61, name == std::string("ddim_uniform") ? 13.5 : 0.01);
        for (size_t i = 0; i + 1 < made.sigmas.size(); ++i) EXPECT_GT(made.sigmas[i], made.sigmas[i + 1]);
        for (const double t : made.timesteps) EXPECT_TRUE(t >= 0 && t <= 999) << t;
      }
    }
  }
}

TEST(SigmaSchedules, HaveThePublishedValues) {
  const NoiseSchedule schedule = stable_diffusion();
  const auto made = [&](const char* name, int64_t steps) {
    return sigma_schedule(schedule, {steps, spacing_from_name(name)}).sigmas;
  };
  const std::vector<double> aligned = made("ays", 10);
  for (const auto& [place, sigma] : {std::pair<size_t, double>{0, 14.615}, {1, 6.475}, {9, 0.152}})
    EXPECT_NEAR(aligned[place], sigma, 1e-6);
  // rho 7: the middle root is the mean of the outer ones.
  const std::vector<double> karras = made("karras", 3);
  EXPECT_NEAR(std::pow(karras[1], 1.0 / 7), (std::pow(karras[0], 1.0 / 7) + std::pow(karras[2], 1.0 / 7)) / 2,
              1e-9);
  EXPECT_NEAR(made("exponential", 3)[1], std::sqrt(karras[0] * karras[2]), 1e-9);
  EXPECT_NEAR(made("simple", 4)[1], sigma_at(schedule, 749), 1e-9);
  EXPECT_NEAR(made("ddim_uniform", 4)[0], sigma_at(schedule, 751), 1e-9);
  EXPECT_NEAR(made("ddim_uniform", 20)[0], sigma_at(schedule, 951), 1e-9);
  // Half-way between two timesteps it is the geometric mean.
  EXPECT_NEAR(made("sgm_uniform", 2)[1], std::sqrt(sigma_at(schedule, 499) * sigma_at(schedule, 500)), 1e-9);
  EXPECT_NEAR(std::atan(made("kl_optimal", 3)[1]), (std::atan(karras[0]) + std::atan(karras[2])) / 2, 1e-9);
}

TEST(SigmaSchedules, AreReadFromText) {
  const NoiseSchedule schedule = stable_diffusion();
  const SigmaSchedule made = sigma_schedule_from_text(schedule, "14.6,4.9,1.6,0.5");
  EXPECT_EQ(made.sigmas, (std::vector<double>{14.6, 4.9, 1.6, 0.5, 0}));
  EXPECT_EQ(made.timesteps.size(), 4U);
  EXPECT_NEAR(sigma_at(schedule, made.timesteps[1]), 4.9, 1e-3);
  EXPECT_EQ(sigma_schedule_from_text(schedule, "2,0").sigmas, (std::vector<double>{2, 0}));
  for (const char* wrong : {"", "0", "1,2", "1,1", "3,x", "3,,1", "nan", "-1", "2,-1", "1e400", "3,0,0"})
    EXPECT_THROW(sigma_schedule_from_text(schedule, wrong), Error) << wrong;
}

TEST(SigmaSchedules, TimestepsAndSigmasAreInverse) {
  const NoiseSchedule schedule = stable_diffusion();
  for (const int64_t t : {0, 1, 500, 998, 999})
    EXPECT_NEAR(timestep_at(schedule, sigma_at(schedule, static_cast<double>(t))), static_cast<double>(t),
                1e-6);
  EXPECT_EQ(timestep_at(schedule, 1e-9), 0);
  EXPECT_EQ(timestep_at(schedule, 1e9), 999);
}

/// A file that does not say whether to clip: ddim and ddpm do, lcm and tcd do not.
TEST(Clipping, IsEachSamplersOwnWhereTheModelDoesNotSay) {
  const NoiseSchedule schedule = stable_diffusion();
  const at::Tensor latents = at::full({1}, 30.0F);
  const at::Tensor prediction = at::zeros({1});
  const ConsistencyStep last{999, 0, true, 0};
  EXPECT_GT(lcm_step(schedule, last, prediction, latents, {}).item<float>(), 100);
  EXPECT_GT(tcd_step(schedule, last, prediction, latents, {}).item<float>(), 100);
  EXPECT_LE(ddim_step(schedule, {999, -1, 0}, prediction, latents, {}).item<float>(), 1.01);
  NoiseScheduleConfig clipped = schedule.config();
  clipped.limits.clip = true;
  EXPECT_LE(lcm_step(NoiseSchedule(clipped), last, prediction, latents, {}).item<float>(), 1.01);
}

TEST(NetworkCalls, AreTwoAStepWhereTheSamplerLooksTwice) {
  const NoiseSchedule schedule = stable_diffusion();
  for (const char* name : {"ddim", "euler", "heun", "dpm2", "dpm2_a", "dpm++2s_a", "dpm++sde", "dpm++2m",
                           "plms", "unipc", "lcm", "dpm++3m_sde"}) {
    for (const int64_t steps : {1, 2, 7}) {
      SamplingSettings settings;
      settings.sampler = sampler_from_name(name);
      settings.steps = steps;
      settings.eta = default_eta(settings.sampler).value_or(0);
      int64_t calls = 0;
      sample(
          schedule, settings, {at::ones({1, 1, 2, 2})},
          [&](const at::Tensor& latents, const NoiseLevel&) {
            ++calls;
            return NetworkOutput{latents, latents};
          },
          [] {
            return at::zeros({1, 1, 2, 2});
          },
          [](int64_t, const at::Tensor&) { return true; });
      EXPECT_EQ(calls, network_calls(settings)) << name << " " << steps;
    }
  }
}

TEST(NetworkTimesteps, AreKnownBeforeTheWalk) {
  const NoiseSchedule schedule = stable_diffusion();
  const auto normal = [] { return at::randn({1, 2, 3, 3}); };
  for (int sampler = 0; sampler <= static_cast<int>(Sampler::kTcd); ++sampler) {
    for (const int64_t first : {0, 3}) {
      SamplingSettings settings;
      settings.sampler = static_cast<Sampler>(sampler);
      settings.steps = 7;
      settings.eta = 1;
      settings.first_step = first;
      std::vector<double> asked;
      const auto ask = [&](const at::Tensor& latents, const NoiseLevel& level) {
        if (asked.empty() || asked.back() != level.timestep) asked.push_back(level.timestep);
        return NetworkOutput{latents.sin(), latents.cos()};
      };
      sample(schedule, settings, {normal(), first > 0 ? normal() : at::Tensor()}, ask, normal,
             [](int64_t, const at::Tensor&) { return true; });
      EXPECT_GE(asked.size(), 4U);
      EXPECT_EQ(network_timesteps(schedule, settings), asked) << sampler_name(settings.sampler) << first;
    }
  }
}

/// With a network that takes each value alone, what is drawn anew is what it would be without a mask.
TEST(Masks, KeepTheirPartOfThePictureWithEverySampler) {
  const NoiseSchedule schedule = stable_diffusion();
  at::manual_seed(3);
  const std::vector<int64_t> sizes{1, 2, 4, 4};
  const at::Tensor noise = at::randn(sizes);
  const at::Tensor picture = at::randn(sizes);
  const at::Tensor mask = at::arange(4).ge(2).expand({1, 1, 4, 4});  // the right half
  const auto left = [](const at::Tensor& x) { return x.narrow(3, 0, 2); };
  const auto right = [](const at::Tensor& x) { return x.narrow(3, 2, 2); };
  for (int sampler = 0; sampler <= static_cast<int>(Sampler::kTcd); ++sampler) {
    SamplingSettings settings;
    settings.sampler = static_cast<Sampler>(sampler);
    settings.steps = 5;
    settings.eta = default_eta(settings.sampler).value_or(0);
    SCOPED_TRACE(std::string(sampler_name(settings.sampler)));
    std::vector<std::pair<at::Tensor, double>> seen;
    std::vector<at::Tensor> steps;
    const auto walk = [&](const Beginning& beginning) {
      seen.clear();
      steps.clear();
      at::manual_seed(5);
      return sample(
          schedule, settings, beginning,
          [&](const at::Tensor& latents, const NoiseLevel& level) {
            seen.emplace_back(latents, level.sigma);
            const at::Tensor said = latents.sin();
            return NetworkOutput{said, said};
          },
          [&] { return at::randn(sizes); },
          [&](int64_t, const at::Tensor& latents) {
            steps.push_back(latents);
            return true;
          });
    };
    const at::Tensor free = walk({noise});
    const std::vector<at::Tensor> free_steps = steps;
    const at::Tensor masked = walk({noise, {}, KeptPart{mask, picture, noise}});
    EXPECT_TRUE(left(masked).equal(left(picture)));
    EXPECT_TRUE(right(masked).equal(right(free)));
    ASSERT_EQ(steps.size(), free_steps.size());
    for (size_t i = 0; i < steps.size(); ++i) EXPECT_TRUE(right(steps[i]).equal(right(free_steps[i]))) << i;
    EXPECT_TRUE(left(steps.back()).equal(left(picture)));
    for (size_t i = 1; i < seen.size(); ++i) {
      const auto& [latents, sigma] = seen[i];
      const at::Tensor wanted = (picture + sigma * noise) / std::sqrt(1 + sigma * sigma);
      EXPECT_TRUE(left(latents).allclose(left(wanted), 1e-4, 1e-4)) << "call " << i;
    }
  }
}

TEST(SamplerNames, AreThoseOfAllPrograms) {
  for (const auto& [name, sampler] : {std::pair<const char*, Sampler>{"euler_a", Sampler::kEulerAncestral},
                                      {"Euler a", Sampler::kEulerAncestral},
                                      {"EulerAncestralDiscreteScheduler", Sampler::kEulerAncestral},
                                      {"euler_ancestral", Sampler::kEulerAncestral},
                                      {"dpm++2m", Sampler::kDpmpp2m},
                                      {"DPM++ 2M", Sampler::kDpmpp2m},
                                      {"dpmpp_2m", Sampler::kDpmpp2m},
                                      {"pndm", Sampler::kPlms},
                                      {"PNDMScheduler", Sampler::kPlms},
                                      {"Euler A", Sampler::kEulerAncestral},
                                      {"k_euler_a", Sampler::kEulerAncestral},
                                      {"DPM++ 2m sde", Sampler::kDpmpp2mSde},
                                      {"dpmpp_2s_ancestral", Sampler::kDpmpp2sAncestral},
                                      {"Euler CFG++", Sampler::kEulerCfgPp},
                                      {"uni_pc_bh2", Sampler::kUniPc},
                                      {"uni_pc", Sampler::kUniPc},
                                      {"K_EULER_ANCESTRAL", Sampler::kEulerAncestral},
                                      {"k_dpm_2_a", Sampler::kDpm2Ancestral},
                                      {"kdpm_2", Sampler::kDpm2},
                                      {"k_dpmpp_2s_a", Sampler::kDpmpp2sAncestral},
                                      {"dpmpp_sde_gpu", Sampler::kDpmppSde},
                                      {"dpmpp_2m_sde_gpu", Sampler::kDpmpp2mSde},
                                      {"dpmpp_3m_sde_gpu", Sampler::kDpmpp3mSde},
                                      {"dpmsolver++", Sampler::kDpmpp2m},
                                      {"DPMSolverMultistep", Sampler::kDpmpp2m},
                                      {"HeunDiscrete", Sampler::kHeun},
                                      {"DDPMParallelScheduler", Sampler::kDdpm},
                                      {"IPNDMScheduler", Sampler::kIpndm}})
    EXPECT_EQ(sampler_from_name(name), sampler) << name;
  const NamedSampler with_spacing = named_sampler("DPM++ 2M SDE Karras");
  EXPECT_EQ(with_spacing.sampler, Sampler::kDpmpp2mSde);
  EXPECT_EQ(with_spacing.spacing, SigmaSpacing::kKarras);
  for (const char* name : {"k_dpmpp_2m_ka", "dpmpp_2m_k", "dpmpp_2m_karras", "DPM++ 2M Karras"}) {
    EXPECT_EQ(named_sampler(name).sampler, Sampler::kDpmpp2m) << name;
    EXPECT_EQ(named_sampler(name).spacing, SigmaSpacing::kKarras) << name;
  }
  EXPECT_EQ(named_sampler("DPM++ 2M").spacing, std::nullopt);
  EXPECT_EQ(named_sampler("dpm++ 2m sgm uniform").spacing, SigmaSpacing::kSgmUniform);
  for (const auto& [name, spacing] :
       {std::pair<const char*, SigmaSpacing>{"Align Your Steps", SigmaSpacing::kAlignYourSteps},
        {"SGMUniform", SigmaSpacing::kSgmUniform},
        {"normal", SigmaSpacing::kModel},
        {"discrete", SigmaSpacing::kModel},
        {"ddim_uniform", SigmaSpacing::kDdimUniform},
        {"DDIM", SigmaSpacing::kDdimUniform},
        {"Polyexponential", SigmaSpacing::kExponential},
        {"kl_optimal", SigmaSpacing::kKlOptimal},
        {"KARRAS", SigmaSpacing::kKarras}})
    EXPECT_EQ(spacing_from_name(name), spacing) << name;
  EXPECT_EQ(find_spacing("automatic"), std::nullopt);  // another one for each sampler
  EXPECT_TRUE(is_automatic("Automatic"));
  EXPECT_FALSE(is_automatic("auto"));
  for (const auto& [name, spacing] : {std::pair<const char*, SigmaSpacing>{"DPM++ 2M", SigmaSpacing::kKarras},
                                      {"DPM2 a", SigmaSpacing::kKarras},
                                      {"DPM++ 2M SDE", SigmaSpacing::kExponential},
                                      {"DPM++ 3M SDE", SigmaSpacing::kExponential},
                                      {"Euler a", SigmaSpacing::kModel},
                                      {"UniPC", SigmaSpacing::kModel},
                                      {"DDIM", SigmaSpacing::kModel}})
    EXPECT_EQ(automatic_spacing(sampler_from_name(name)), spacing) << name;
  for (const char* wrong : {"", "k_", "gpu", "scheduler", "Karras", " Karras", "magic", "magic Karras"})
    EXPECT_THROW(named_sampler(wrong), Error) << wrong;
}

}  // namespace
}  // namespace brume
