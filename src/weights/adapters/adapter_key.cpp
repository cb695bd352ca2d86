#include "brume/weights/adapters/adapter_key.h"

#include <algorithm>
#include <array>

namespace brume {

namespace {

struct Ending {
  std::string_view text;
  AdapterRole role;
};

/// The longest that fits is meant.
constexpr std::array kEndings{
    Ending{".lora_down.weight", AdapterRole::kDown},
    Ending{".lora_up.weight", AdapterRole::kUp},
    Ending{".lora_mid.weight", AdapterRole::kMid},
    Ending{".lora_up.bias", AdapterRole::kUpBias},
    Ending{".lora_A.weight", AdapterRole::kDown},
    Ending{".lora_B.weight", AdapterRole::kUp},
    Ending{".lora_B.bias", AdapterRole::kUpBias},
    Ending{".lora_A.default.weight", AdapterRole::kDown},
    Ending{".lora_B.default.weight", AdapterRole::kUp},
    Ending{".lora_B.default.bias", AdapterRole::kUpBias},
    Ending{".lora.down.weight", AdapterRole::kDown},
    Ending{".lora.up.weight", AdapterRole::kUp},
    Ending{"_lora.down.weight", AdapterRole::kDown},
    Ending{"_lora.up.weight", AdapterRole::kUp},
    Ending{".lora_linear_layer.down.weight", AdapterRole::kDown},
    Ending{".lora_linear_layer.up.weight", AdapterRole::kUp},
    Ending{".alpha", AdapterRole::kAlpha},
    Ending{"_lora.alpha", AdapterRole::kAlpha},
    Ending{".lora.alpha", AdapterRole::kAlpha},
    Ending{".lora_linear_layer.alpha", AdapterRole::kAlpha},
    Ending{".dora_scale", AdapterRole::kDoraScale},
    Ending{".lora_magnitude_vector", AdapterRole::kMagnitude},
    Ending{".lora_magnitude_vector.weight", AdapterRole::kMagnitude},
    Ending{".lora_magnitude_vector.default.weight", AdapterRole::kMagnitude},
    Ending{".hada_w1_a", AdapterRole::kHadaW1A},
    Ending{".hada_w1_b", AdapterRole::kHadaW1B},
    Ending{".hada_w2_a", AdapterRole::kHadaW2A},
    Ending{".hada_w2_b", AdapterRole::kHadaW2B},
    Ending{".hada_t1", AdapterRole::kHadaT1},
    Ending{".hada_t2", AdapterRole::kHadaT2},
    Ending{".lokr_w1", AdapterRole::kLokrW1},
    Ending{".lokr_w1_a", AdapterRole::kLokrW1A},
    Ending{".lokr_w1_b", AdapterRole::kLokrW1B},
    Ending{".lokr_w2", AdapterRole::kLokrW2},
    Ending{".lokr_w2_a", AdapterRole::kLokrW2A},
    Ending{".lokr_w2_b", AdapterRole::kLokrW2B},
    Ending{".lokr_t2", AdapterRole::kLokrT2},
    Ending{".diff", AdapterRole::kDiff},
    Ending{".diff_b", AdapterRole::kDiffBias},
    Ending{".w_norm", AdapterRole::kDiff},
    Ending{".b_norm", AdapterRole::kDiffBias},
};

struct Beginning {
  std::string_view text;
  AdapterTower tower;
};

/// The first that fits is meant; without any it is the UNet's, as diffusers first wrote them.
constexpr std::array kBeginnings{
    Beginning{"lora_unet_", AdapterTower::kUNet},
    Beginning{"lora_te1_", AdapterTower::kText},
    Beginning{"lora_te2_", AdapterTower::kText2},
    Beginning{"lora_te_", AdapterTower::kText},
    Beginning{"lycoris_", AdapterTower::kUNet},
    Beginning{"unet.", AdapterTower::kUNet},
    Beginning{"text_encoder_2.", AdapterTower::kText2},
    Beginning{"text_encoder.", AdapterTower::kText},
    Beginning{"diffusion_model.", AdapterTower::kUNet},
    Beginning{"model.diffusion_model.", AdapterTower::kUNet},
    Beginning{"cond_stage_model.transformer.", AdapterTower::kText},
    Beginning{"cond_stage_model.model.", AdapterTower::kText},
    Beginning{"conditioner.embedders.0.transformer.", AdapterTower::kText},
    Beginning{"conditioner.embedders.1.model.", AdapterTower::kText2},
    Beginning{"text_encoders.clip_l.transformer.", AdapterTower::kText},
    Beginning{"text_encoders.clip_g.transformer.", AdapterTower::kText2},
    Beginning{"clip_l.transformer.", AdapterTower::kText},
    Beginning{"clip_g.transformer.", AdapterTower::kText2},
};
constexpr std::string_view kPeft = "base_model.model.";
constexpr std::string_view kText = "text_model.";

std::optional<Ending> ending_of(std::string_view key) {
  std::optional<Ending> longest;
  for (const Ending& ending : kEndings) {
    if (key.ends_with(ending.text) && (!longest || ending.text.size() > longest->text.size()))
      longest = ending;
  }
  return longest;
}

void replace_first(std::string& text, std::string_view what, std::string_view by) {
  if (const size_t at = text.find(what); at != std::string::npos) text.replace(at, what.size(), by);
}

/// A UNet's attention as its processors named it: "attn1.processor.to_out" is the layer attn1.to_out.0.
std::string unet_module(std::string_view name) {
  std::string module = flattened(name);
  replace_first(module, "_processor_to_", "_to_");
  if (module.ends_with("_to_out")) module += "_0";
  return module;
}

std::string text_module(std::string_view name) {
  std::string module = flattened(name);
  if (module.starts_with("text_model_")) module.erase(0, kText.size());
  for (const char* part : {"q", "k", "v", "out"}) {
    const std::string old = std::string("self_attn_to_") + part;
    if (module.ends_with(old))
      module.replace(module.size() - old.size(), old.size(), std::string("self_attn_") + part + "_proj");
  }
  return module;
}

}  // namespace

std::string flattened(std::string_view name) {
  std::string flat(name);
  std::replace(flat.begin(), flat.end(), '.', '_');
  return flat;
}

std::optional<AdapterKey> read_adapter_key(std::string_view key) {
  const std::optional<Ending> ending = ending_of(key);
  if (!ending) return std::nullopt;
  std::string_view name = key.substr(0, key.size() - ending->text.size());
  if (name.starts_with(kPeft)) name.remove_prefix(kPeft.size());
  AdapterTower tower = name.starts_with(kText) ? AdapterTower::kText : AdapterTower::kUNet;
  for (const Beginning& beginning : kBeginnings) {
    if (!name.starts_with(beginning.text)) continue;
    tower = beginning.tower;
    name.remove_prefix(beginning.text.size());
    break;
  }
  if (name.empty()) return std::nullopt;
  return AdapterKey{tower, tower == AdapterTower::kUNet ? unet_module(name) : text_module(name),
                    ending->role};
}

}  // namespace brume
