#include "brume/pipeline/picture_settings.h"

namespace brume {

void PictureSettings::complete_with(const PictureSettings& others) {
  const auto complete = [](auto& mine, const auto& other) {
    if (!mine) mine = other;
  };
  complete(prompt, others.prompt);
  complete(negative_prompt, others.negative_prompt);
  complete(width, others.width);
  complete(height, others.height);
  complete(steps, others.steps);
  complete(cfg_scale, others.cfg_scale);
  complete(cfg_rescale, others.cfg_rescale);
  complete(image_cfg_scale, others.image_cfg_scale);
  complete(guidance_start, others.guidance_start);
  complete(guidance_end, others.guidance_end);
  complete(mimic_scale, others.mimic_scale);
  complete(threshold_percentile, others.threshold_percentile);
  complete(pag_scale, others.pag_scale);
  complete(pag_adaptive_scale, others.pag_adaptive_scale);
  complete(pag_layers, others.pag_layers);
  complete(freeu, others.freeu);
  complete(sampler, others.sampler);
  complete(scheduler, others.scheduler);
  complete(eta, others.eta);
  complete(seed, others.seed);
  complete(rng, others.rng);
  complete(init_img, others.init_img);
  complete(strength, others.strength);
  complete(mask, others.mask);
  complete(clip_skip, others.clip_skip);
  complete(vae_tiling, others.vae_tiling);
  complete(compat, others.compat);
  complete(strict, others.strict);
}

}  // namespace brume
