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
    {.sampler = Sampler::kDdpm,
     .ours = "ddpm",
     .title = "DDPM",
     .reference = "DDPMScheduler",
     .aliases = {"DDPMParallelScheduler"}},
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
     .aliases = {"kdpm_2"},
     .walk = dpm_2,
     .two_calls = true,
     .whole_karras = true,
     .automatic = SigmaSpacing::kKarras},
    {.sampler = Sampler::kDpm2Ancestral,
     .ours = "dpm2_a",
     .title = "DPM2 a",
     .reference = "KDPM2AncestralDiscreteScheduler",
     .aliases = {"dpm_2_ancestral", "kdpm_2_a"},
     .eta = 1.0,
     .walk = dpm_2_ancestral,
     .two_calls = true,
     .whole_karras = true,
     .automatic = SigmaSpacing::kKarras},
    {.sampler = Sampler::kDpmpp2sAncestral,
     .ours = "dpm++2s_a",
     .title = "DPM++ 2S a",
     .aliases = {"dpmpp_2s_ancestral"},
     .eta = 1.0,
     .walk = dpmpp_2s_ancestral,
     .two_calls = true,
     .automatic = SigmaSpacing::kKarras},
    {.sampler = Sampler::kDpmpp2m,
     .ours = "dpm++2m",
     .title = "DPM++ 2M",
     .reference = "DPMSolverMultistepScheduler",
     .aliases = {"dpmsolver++"},
     .walk = dpmpp_2m,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true,
     .automatic = SigmaSpacing::kKarras},
    {.sampler = Sampler::kDpmppSde,
     .ours = "dpm++sde",
     .title = "DPM++ SDE",
     .reference = "DPMSolverSDEScheduler",
     .eta = 1.0,
     .walk = dpmpp_sde,
     .two_calls = true,
     .automatic = SigmaSpacing::kKarras},
    {.sampler = Sampler::kDpmpp2mSde,
     .ours = "dpm++2m_sde",
     .title = "DPM++ 2M SDE",
     .eta = 1.0,
     .walk = dpmpp_2m_sde,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true,
     .automatic = SigmaSpacing::kExponential},
    {.sampler = Sampler::kDpmpp3mSde,
     .ours = "dpm++3m_sde",
     .title = "DPM++ 3M SDE",
     .eta = 1.0,
     .walk = dpmpp_3m_sde,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true,
     .automatic = SigmaSpacing::kExponential},
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

bool take_end(std::string& text, std::string_view end) {
  if (!text.ends_with(end)) return false;
  text.resize(text.size() - end.size());
  return true;
}

bool is_called(const SamplerTraits& one, const std::string& folded_name) {
  for (const std::string_view known :
       {one.ours, one.title, one.reference, one.aliases[0], one.aliases[1], one.aliases[2]}) {
    if (!known.empty() && folded(known) == folded_name) return true;
  }
  std::string without_class = folded(one.reference);  // "DPMSolverMultistep"
  return take_end(without_class, "scheduler") && without_class == folded_name;
}

std::optional<Sampler> find_sampler(std::string_view name) {
  std::string wanted = folded(name);
  // As A1111's programs call them among themselves: k_euler_a
  if (name.size() > 2 && (name[0] == 'k' || name[0] == 'K') && name[1] == '_') wanted.erase(0, 1);
  take_end(wanted, "gpu");  // ComfyUI's, for where the noise is drawn: dpmpp_2m_sde_gpu
  const auto* found = std::find_if(kSamplers.begin(), kSamplers.end(),
                                   [&](const SamplerTraits& one) { return is_called(one, wanted); });
  return found == kSamplers.end() ? std::nullopt : std::optional(found->sampler);
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
  // "DPM++ 2M Karras", "dpm++ 2m sgm uniform", "dpmpp_2m_karras"
  constexpr std::string_view kBetween = " _-";
  for (size_t end = name.find_first_of(kBetween); end != std::string_view::npos;
       end = name.find_first_of(kBetween, end + 1)) {
    const std::optional<Sampler> known = find_sampler(name.substr(0, end));
    const std::optional<SigmaSpacing> spacing = find_spacing(name.substr(end + 1));
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
SigmaSpacing automatic_spacing(Sampler sampler) { return traits_of(sampler).automatic; }
bool takes_spacing(Sampler sampler) { return traits_of(sampler).walk != nullptr; }

}  // namespace brume
