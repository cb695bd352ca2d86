#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <string_view>

#include "brume/diffusion/samplers.h"
#include "brume/diffusion/sigma_samplers.h"

namespace brume {

using WalkFunction = at::Tensor (*)(at::Tensor x, const SigmaWalk& walk);

/// How diffusers' scheduler of a name scales its latents: as x = picture + sigma noise, or all of it to unit
/// variance.
enum class Scale { kExploding, kPreserving };

struct SamplerTraits {
  Sampler sampler;
  std::string_view ours;
  std::string_view title;                        // A1111's
  std::string_view reference = {};               // diffusers' class; empty: it has none
  std::array<std::string_view, 3> aliases = {};  // where folding (folded_name.h) does not give them
  std::optional<double> eta = {};                // the default of those that take fresh noise
  WalkFunction walk = nullptr;                   // of those in terms of sigma
  bool two_calls = false;                        // of the network in each step but the last
  TimestepGrid grid = TimestepGrid::kWithLast;
  LastSigma last = LastSigma::kZero;
  Scale scale = Scale::kExploding;
  bool whole_karras = false;  // SigmaRequest
  TimestepSpacing unsaid = TimestepSpacing::kLinspace;
  bool thresholds = false;                        // whether that class knows SampleLimits::dynamic_threshold
  SigmaSpacing automatic = SigmaSpacing::kModel;  // A1111's "Automatic"
};

const SamplerTraits& traits_of(Sampler sampler);

}  // namespace brume
