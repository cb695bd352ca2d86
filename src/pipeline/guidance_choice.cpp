#include "brume/pipeline/guidance_choice.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "brume/base/error.h"

namespace brume {

namespace {

std::string number(double value) {
  std::array<char, 32> digits{};
  const char* const first = digits.data();
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return {first, end};
}

/// Throws for the option `name` where what it belongs to is not asked for.
void check_used(bool given, bool used, const std::string& name, const std::string& needed) {
  if (!given || used) return;
  throw Error(ExitCode::kUsage, name, "does nothing without " + needed, "give both, or neither");
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

GuidanceSettings choose_guidance(const PictureSettings& settings, double own_scale) {
  GuidanceSettings guidance;
  guidance.scale = settings.cfg_scale.value_or(own_scale);
  guidance.rescale = settings.cfg_rescale.value_or(0);
  guidance.interval = {settings.guidance_start.value_or(0), settings.guidance_end.value_or(1)};
  if (guidance.interval.start >= guidance.interval.end)
    throw Error(ExitCode::kUsage,
                "--guidance-start " + number(guidance.interval.start) + " --guidance-end " +
                    number(guidance.interval.end),
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
  if (settings.pag_layers) guidance.perturbed.layers = split_at_commas(*settings.pag_layers);
  return guidance;
}

}  // namespace brume
