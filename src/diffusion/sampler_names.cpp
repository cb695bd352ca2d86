#include <algorithm>
#include <array>

#include "brume/base/error.h"
#include "brume/diffusion/samplers.h"
#include "folded_name.h"
#include "sampler_traits.h"

namespace brume {

namespace {

constexpr TimestepGrid kOpen = TimestepGrid::kWithoutLast;
constexpr Scale kUnit = Scale::kPreserving;

constexpr std::array<SamplerTraits, 20> kSamplers = {{
    {.sampler = Sampler::kDdim,
     .ours = "ddim",
     .title = "DDIM",
     .reference = "DDIMScheduler",
     .aliases = {"DDIMParallelScheduler"},
     .eta = 0.0},
    {.sampler = Sampler::kDdpm, .ours = "ddpm", .title = "DDPM", .reference = "DDPMScheduler"},
    {.sampler = Sampler::kEuler,
     .ours = "euler",
     .title = "Euler",
     .reference = "EulerDiscreteScheduler",
     .walk = euler},
    {.sampler = Sampler::kEulerAncestral,
     .ours = "euler_a",
     .title = "Euler a",
     .reference = "EulerAncestralDiscreteScheduler",
     .aliases = {"euler_ancestral"},
     .eta = 1.0,
     .walk = euler_ancestral},
    {.sampler = Sampler::kEulerCfgPp, .ours = "euler_cfg_pp", .title = "Euler CFG++", .walk = euler_cfg_pp},
    {.sampler = Sampler::kHeun,
     .ours = "heun",
     .title = "Heun",
     .reference = "HeunDiscreteScheduler",
     .walk = heun,
     .two_calls = true},
    {.sampler = Sampler::kDpm2,
     .ours = "dpm2",
     .title = "DPM2",
     .reference = "KDPM2DiscreteScheduler",
     .walk = dpm_2,
     .two_calls = true,
     .whole_karras = true},
    {.sampler = Sampler::kDpm2Ancestral,
     .ours = "dpm2_a",
     .title = "DPM2 a",
     .reference = "KDPM2AncestralDiscreteScheduler",
     .aliases = {"dpm_2_ancestral"},
     .eta = 1.0,
     .walk = dpm_2_ancestral,
     .two_calls = true,
     .whole_karras = true},
    {.sampler = Sampler::kDpmpp2sAncestral,
     .ours = "dpm++2s_a",
     .title = "DPM++ 2S a",
     .aliases = {"dpmpp_2s_ancestral"},
     .eta = 1.0,
     .walk = dpmpp_2s_ancestral,
     .two_calls = true},
    {.sampler = Sampler::kDpmpp2m,
     .ours = "dpm++2m",
     .title = "DPM++ 2M",
     .reference = "DPMSolverMultistepScheduler",
     .walk = dpmpp_2m,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kDpmppSde,
     .ours = "dpm++sde",
     .title = "DPM++ SDE",
     .reference = "DPMSolverSDEScheduler",
     .eta = 1.0,
     .walk = dpmpp_sde,
     .two_calls = true},
    {.sampler = Sampler::kDpmpp2mSde,
     .ours = "dpm++2m_sde",
     .title = "DPM++ 2M SDE",
     .eta = 1.0,
     .walk = dpmpp_2m_sde,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kDpmpp3mSde,
     .ours = "dpm++3m_sde",
     .title = "DPM++ 3M SDE",
     .eta = 1.0,
     .walk = dpmpp_3m_sde,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kLms,
     .ours = "lms",
     .title = "LMS",
     .reference = "LMSDiscreteScheduler",
     .walk = lms},
    {.sampler = Sampler::kPlms,
     .ours = "plms",
     .title = "PLMS",
     .reference = "PNDMScheduler",
     .aliases = {"pndm"},
     .walk = plms,
     .scale = kUnit,
     .unsaid = TimestepSpacing::kLeading},
    {.sampler = Sampler::kIpndm,
     .ours = "ipndm",
     .title = "IPNDM",
     .aliases = {"IPNDMScheduler"},
     .walk = ipndm},
    {.sampler = Sampler::kDeis,
     .ours = "deis",
     .title = "DEIS",
     .reference = "DEISMultistepScheduler",
     .walk = deis,
     .grid = kOpen,
     .last = LastSigma::kLeast,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kUniPc,
     .ours = "unipc",
     .title = "UniPC",
     .reference = "UniPCMultistepScheduler",
     .aliases = {"uni_pc_bh2"},
     .walk = unipc,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kLcm, .ours = "lcm", .title = "LCM", .reference = "LCMScheduler"},
    {.sampler = Sampler::kTcd, .ours = "tcd", .title = "TCD", .reference = "TCDScheduler", .eta = 0.3},
}};

std::optional<Sampler> find_sampler(std::string_view name) {
  std::string wanted = folded(name);
  if (name.starts_with("k_")) wanted.erase(0, 1);  // as A1111's programs call them among themselves
  for (const SamplerTraits& one : kSamplers) {
    for (const std::string_view known :
         {one.ours, one.title, one.reference, one.aliases[0], one.aliases[1]}) {
      if (!known.empty() && folded(known) == wanted) return one.sampler;
    }
  }
  return std::nullopt;
}

}  // namespace

const SamplerTraits& traits_of(Sampler sampler) {
  return *std::find_if(kSamplers.begin(), kSamplers.end(),
                       [&](const SamplerTraits& one) { return one.sampler == sampler; });
}

std::optional<Sampler> sampler_of_class(std::string_view class_name) {
  for (const SamplerTraits& one : kSamplers) {
    if (!class_name.empty() && one.reference == class_name) return one.sampler;
  }
  return std::nullopt;
}

NamedSampler named_sampler(std::string_view name) {
  if (const std::optional<Sampler> known = find_sampler(name)) return {*known, {}};
  // "DPM++ 2M Karras", "dpm++ 2m sgm uniform"
  for (size_t space = name.find(' '); space != std::string_view::npos; space = name.find(' ', space + 1)) {
    const std::optional<Sampler> known = find_sampler(name.substr(0, space));
    const std::optional<SigmaSpacing> spacing = find_spacing(name.substr(space + 1));
    if (known && spacing) return {*known, spacing};
  }
  throw Error(ExitCode::kUsage, "--sampling-method " + std::string(name), "unknown sampler",
              "choose one of " + sampler_names());
}

Sampler sampler_from_name(std::string_view name) { return named_sampler(name).sampler; }
std::string_view sampler_name(Sampler sampler) { return traits_of(sampler).ours; }
std::string_view sampler_title(Sampler sampler) { return traits_of(sampler).title; }

std::string sampler_names() {
  std::string names;
  for (const SamplerTraits& one : kSamplers) names += (names.empty() ? "" : ", ") + std::string(one.ours);
  return names;
}

std::optional<double> default_eta(Sampler sampler) { return traits_of(sampler).eta; }
bool takes_spacing(Sampler sampler) { return traits_of(sampler).walk != nullptr; }

}  // namespace brume
