#include "brume/pipeline/guidance_choice.h"

#include <string>
#include <string_view>
#include <vector>

#include "brume/base/error.h"
#include "brume/base/shortest_number.h"
#include "brume/base/split.h"

namespace brume {

namespace {

/// Throws for the option `name` where what it belongs to is not asked for.
void check_used(bool given, bool used, const std::string& name, const std::string& needed) {
  if (!given || used) return;
  throw Error(ExitCode::kUsage, name, "does nothing without " + needed, "give both, or neither");
}

/// The guidance by a picture beside the latents, which has no form with the other kinds.
void choose_image_scale(const PictureSettings& settings, ModelTask task, GuidanceSettings& guidance) {
  constexpr double kUsualScale = 1.5;  // diffusers', and A1111's
  if (task != ModelTask::kEdit) {
    if (!settings.image_cfg_scale) return;
    throw Error(ExitCode::kUsage, "--image-cfg-scale", "this model sees no picture beside the latents",
                "leave it out, or use an instruct-pix2pix model");
  }
  const auto refuse = [](const char* option) {
    throw Error(ExitCode::kUsage, option, "has no meaning where a picture guides too (instruct-pix2pix)",
                "leave it out");
  };
  if (guidance.mimic) refuse("--mimic-scale");
  if (guidance.perturbed.active()) refuse("--pag-scale");
  guidance.image_scale = settings.image_cfg_scale.value_or(kUsualScale);
}

}  // namespace

GuidanceSettings choose_guidance(const PictureSettings& settings, double own_scale, ModelTask task) {
  GuidanceSettings guidance;
  guidance.scale = settings.cfg_scale.value_or(own_scale);
  guidance.rescale = settings.cfg_rescale.value_or(0);
  guidance.interval = {settings.guidance_start.value_or(0), settings.guidance_end.value_or(1)};
  if (guidance.interval.start >= guidance.interval.end)
    throw Error(ExitCode::kUsage,
                "--guidance-start " + shortest_number(guidance.interval.start) + " --guidance-end " +
                    shortest_number(guidance.interval.end),
                "leaves no step to guide", "let it start before it ends, or use --cfg-scale 1");
  check_used(settings.threshold_percentile.has_value(), settings.mimic_scale.has_value(),
             "--threshold-percentile", "--mimic-scale");
  if (settings.mimic_scale)
    guidance.mimic = {*settings.mimic_scale, settings.threshold_percentile.value_or(1)};
  guidance.perturbed.scale = settings.pag_scale.value_or(0);
  const bool perturbed = guidance.perturbed.active();
  check_used(settings.pag_adaptive_scale.value_or(0) > 0, perturbed, "--pag-adaptive-scale", "--pag-scale");
  check_used(settings.pag_layers.has_value(), perturbed, "--pag-layers", "--pag-scale");
  guidance.perturbed.adaptive_scale = settings.pag_adaptive_scale.value_or(0);
  if (settings.pag_layers) {
    const std::vector<std::string_view> layers = split(*settings.pag_layers, ',');
    guidance.perturbed.layers.assign(layers.begin(), layers.end());
  }
  choose_image_scale(settings, task, guidance);
  return guidance;
}

}  // namespace brume
