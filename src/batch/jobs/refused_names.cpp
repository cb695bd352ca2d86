#include "refused_names.h"

#include <algorithm>
#include <array>

namespace brume::batch {

namespace {

struct Refused {
  std::string_view name;
  std::string_view remedy;
};

constexpr std::string_view kTakeOut = "take it out of the line";
constexpr std::string_view kForTheRun = "it holds for the whole run: give it on the command line";
constexpr std::string_view kDirectory = "name the directory of all pictures with -o";

constexpr auto kRefused = std::to_array<Refused>({
    // A1111's prompts_from_file
    {"sd_model", "one model draws all pictures: name it with --model"},
    {"outpath_samples", kDirectory},
    {"styles", "write the words of the style into the prompt"},
    {"subseed", kTakeOut},
    {"subseed_strength", kTakeOut},
    {"seed_resize_from_h", kTakeOut},
    {"seed_resize_from_w", kTakeOut},
    {"sampler_index", "name the sampler: --sampler_name DDIM"},
    {"restore_faces", kTakeOut},
    {"tiling", "it makes seamless textures, vae_tiling saves memory; take it out of the line"},
    {"do_not_save_samples", kTakeOut},
    // the command line's own
    {"model", "one model draws all pictures: name it with --model"},
    {"output", "give the picture an id, and name the directory with -o"},
    {"dtype", kForTheRun},
    {"device", kForTheRun},
    {"threads", kForTheRun},
    {"wildcards", kForTheRun},
    {"lora",
     "one model draws all pictures: give it on the command line, or write <lora:NAME:0.8> into every prompt"},
    {"lora_model_dir", kForTheRun},
    {"embedding", kForTheRun},
    {"embeddings_dir", kForTheRun},
    {"init_latents", kTakeOut},
    {"save_latents", kTakeOut},
    // kohya's gen_img
    {"f", "give the picture an id: --id NAME"},
    {"ow", kTakeOut},
    {"oh", kTakeOut},
    {"nw", kTakeOut},
    {"nh", kTakeOut},
    {"ct", kTakeOut},
    {"cl", kTakeOut},
    {"nl", kTakeOut},
    {"c", kTakeOut},
    {"am", kTakeOut},
    {"dsd1", kTakeOut},
    {"dst1", kTakeOut},
    {"dsd2", kTakeOut},
    {"dst2", kTakeOut},
    {"dsr", kTakeOut},
    {"glt", kTakeOut},
    {"glr", kTakeOut},
    {"gle", kTakeOut},
    {"gls", kTakeOut},
    {"glsn", kTakeOut},
    {"glus", kTakeOut},
});

// A1111's again: no picture depends on them.
constexpr auto kHarmless =
    std::to_array<std::string_view>({"do_not_save_grid", "outpath_grids", "prompt_for_display"});

}  // namespace

bool is_harmless(std::string_view folded_name) {
  return std::find(kHarmless.begin(), kHarmless.end(), folded_name) != kHarmless.end();
}

std::optional<std::string_view> why_refused(std::string_view folded_name) {
  const auto* found = std::find_if(kRefused.begin(), kRefused.end(),
                                   [&](const Refused& one) { return one.name == folded_name; });
  if (found == kRefused.end()) return std::nullopt;
  return found->remedy;
}

}  // namespace brume::batch
