#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace brume {

struct GuidanceSettings {
  double scale = 1;  // 1 and below: no guidance, the negative prompt is not looked at
  double rescale =
      0;  // "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4; 0.7 is theirs

  bool active() const { return scale > 1; }
};

/// "Compositional Visual Generation with Composable Diffusion Models" (Liu et al. 2022): `negative` and, each
/// by its weight, what every one of `parts` (all [N, C, H, W]) makes of it. A lone part of weight 1 is
/// itself.
at::Tensor compose(const at::Tensor& negative, const std::vector<at::Tensor>& parts,
                   const std::vector<double>& weights);

/// "Classifier-Free Diffusion Guidance" (Ho and Salimans 2022): away from `negative`, towards `positive`
/// (each [N, C, H, W]). Mirrors the guidance of diffusers' StableDiffusionPipeline and its rescale_noise_cfg.
at::Tensor guide(const at::Tensor& negative, const at::Tensor& positive, const GuidanceSettings& settings);

}  // namespace brume
