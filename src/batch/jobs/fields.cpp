#include "fields.h"

#include <algorithm>
#include <limits>

#include "brume/base/edit_distance.h"
#include "message.h"
#include "refused_names.h"

namespace brume::batch {

namespace {

// So long that no prompt is cut, and so short that a job written with every byte escaped (six characters) is
// a line that can be read again.
constexpr int64_t kMostText = 65536;
constexpr int64_t kMostName = 256;
constexpr int64_t kMostPath = 4096;

using S = PictureSettings;

constexpr auto kFields = std::to_array<Field>({
    {.name = "prompt", .member = &S::prompt, .most = kMostText},
    {.name = "negative_prompt",
     .member = &S::negative_prompt,
     .most = kMostText,
     .letter = 'n',
     .aliases = {"negative"}},
    {.name = "width", .member = &S::width, .least = 1, .most = kMostSide, .letter = 'w'},
    {.name = "height", .member = &S::height, .least = 1, .most = kMostSide, .letter = 'h'},
    {.name = "steps",
     .member = &S::steps,
     .least = 1,
     .most = kMostSteps,
     .letter = 's',
     .aliases = {"num_inference_steps", "sampling_steps"}},
    {.name = "cfg_scale",
     .member = &S::cfg_scale,
     .most = static_cast<int64_t>(kMostGuidance),
     .letter = 'l',
     .aliases = {"guidance_scale"}},
    {.name = "cfg_rescale", .member = &S::cfg_rescale, .most = 1, .aliases = {"guidance_rescale"}},
    {.name = "image_cfg_scale",
     .member = &S::image_cfg_scale,
     .least = 1,
     .most = static_cast<int64_t>(kMostGuidance),
     .aliases = {"image_guidance_scale", "img_cfg_scale"}},
    {.name = "guidance_start", .member = &S::guidance_start, .most = 1},
    {.name = "guidance_end", .member = &S::guidance_end, .most = 1, .aliases = {"guidance_stop"}},
    {.name = "mimic_scale", .member = &S::mimic_scale, .most = static_cast<int64_t>(kMostGuidance)},
    {.name = "threshold_percentile", .member = &S::threshold_percentile, .most = 1},
    {.name = "pag_scale", .member = &S::pag_scale, .most = static_cast<int64_t>(kMostGuidance)},
    {.name = "pag_adaptive_scale",
     .member = &S::pag_adaptive_scale,
     .most = static_cast<int64_t>(kMostGuidance)},
    {.name = "pag_layers", .member = &S::pag_layers, .most = kMostText, .aliases = {"pag_applied_layers"}},
    {.name = "freeu", .member = &S::freeu, .most = kMostName},
    {.name = "sampler",
     .member = &S::sampler,
     .most = kMostName,
     .aliases = {"sampling_method", "sampler_name", "ss", "sample_sampler"}},
    {.name = "scheduler",
     .member = &S::scheduler,
     .most = kMostText,
     .aliases = {"schedule", "schedule_type", "sigmas"},
     .numbers_are_one = true},
    {.name = "eta", .member = &S::eta, .most = 1},
    {.name = "seed",
     .member = &S::seed,
     .least = -1,
     .most = std::numeric_limits<int64_t>::max(),
     .letter = 'd',
     .lists_in_text = true},  // the others must not: 7,5 is how half of Europe writes 7.5
    {.name = "rng", .member = &S::rng, .most = kMostName},
    {.name = "init_img", .member = &S::init_img, .most = kMostPath, .aliases = {"init_image"}},
    {.name = "strength", .member = &S::strength, .most = 1, .letter = 't', .aliases = {"denoising_strength"}},
    {.name = "mask", .member = &S::mask, .most = kMostPath, .aliases = {"mask_image"}},
    {.name = "clip_skip", .member = &S::clip_skip, .least = 1, .most = kMostClipSkip},
    {.name = "vae_tiling", .member = &S::vae_tiling},
    {.name = "compat", .member = &S::compat, .most = kMostName},
    {.name = "strict", .member = &S::strict},
});

bool has_name(const Field& field, std::string_view name) {
  const bool is_letter = field.letter != 0 && name.size() == 1 && name[0] == field.letter;
  return is_letter || name == field.name ||
         (!name.empty() &&
          std::find(field.aliases.begin(), field.aliases.end(), name) != field.aliases.end());
}

/// The known name that `name` most likely is; empty if it has nothing in common with any.
std::string_view nearest_to(std::string_view name) {
  constexpr size_t kMostCompared = 40;
  name = name.substr(0, kMostCompared);
  std::string_view nearest;
  size_t least = name.size();
  auto compare = [&](std::string_view known) {
    if (known.empty() || edit_distance(name, known) >= least) return;
    least = edit_distance(name, known);
    nearest = known;
  };
  compare(kId);
  for (const Field& field : kFields) {
    compare(field.name);
    for (const std::string_view alias : field.aliases) compare(alias);
  }
  return nearest;
}

/// "prompt, negative_prompt (n), ..."
std::string known_names() {
  std::string names(kId);
  for (const Field& field : kFields) {
    names += ", " + std::string(field.name);
    if (field.letter != 0) names += std::string(" (") + field.letter + ")";
  }
  return names;
}

}  // namespace

bool asks_for_copies(std::string_view name) {
  constexpr auto kNames =
      std::to_array<std::string_view>({"batch_size", "n_iter", "batch_count", "num_images_per_prompt"});
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

std::span<const Field> fields() { return kFields; }

std::string folded(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-') c = '_';
  }
  return out;
}

const Field& field_named(std::string_view name, const std::string& shown) {
  const auto* found =
      std::find_if(kFields.begin(), kFields.end(), [&](const Field& field) { return has_name(field, name); });
  if (found != kFields.end()) return *found;
  if (const auto remedy = why_refused(name))
    refuse(shown, "brume cannot do this for one picture", std::string(*remedy));
  const std::string nearest(nearest_to(name));
  refuse(shown, nearest.empty() ? "unknown" : "unknown, the nearest is " + nearest,
         "known are " + known_names());
}

}  // namespace brume::batch
