#include "brume/weights/component_file.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "dialects/config_text.h"
#include "dialects/diffusers_names.h"
#include "dialects/original.h"

namespace brume {

namespace {

using dialects::OriginalTensors;
using dialects::TextTowerKind;
using Prefixes = std::initializer_list<std::string_view>;

constexpr uint64_t kPixelsPerLatent = 8;  // of every autoencoder that such a UNet was trained with

/// Both halves of a tiny autoencoder, or one of them, are numbered layers, which no other one has.
bool is_tiny_vae(const ComponentTensors& vae) {
  return vae.contains("decoder.layers.0.weight") || vae.contains("encoder.layers.0.weight");
}

ComponentTensors find_vae(const SafetensorsHeader& header) {
  for (const char* prefix : {"first_stage_model.", "vae.", ""}) {
    const OriginalTensors tensors = dialects::below(header, prefix);
    if (tensors.contains("decoder.up.0.block.0.conv1.weight")) return dialects::vae_of(tensors);
    if (ComponentTensors tiny = dialects::tiny_vae_of(tensors); !tiny.empty()) return tiny;
  }
  ComponentTensors vae;
  for (const StoredTensor& tensor : header.tensors) {
    const bool part = tensor.name.starts_with("encoder.") || tensor.name.starts_with("decoder.") ||
                      tensor.name.starts_with("quant_conv.") || tensor.name.starts_with("post_quant_conv.");
    if (part) vae.emplace(dialects::present_name(tensor.name), whole(tensor));
  }
  const bool known = vae.contains("decoder.up_blocks.0.resnets.0.conv1.weight") || is_tiny_vae(vae);
  return known ? vae : ComponentTensors{};
}

ComponentTensors find_unet(const SafetensorsHeader& header) {
  for (const char* prefix : {"model.diffusion_model.", "diffusion_model.", "unet.", ""}) {
    const OriginalTensors tensors = dialects::below(header, prefix);
    if (tensors.contains("input_blocks.0.0.weight")) return dialects::unet_of(tensors);
    if (!tensors.contains("down_blocks.0.resnets.0.conv1.weight")) continue;
    ComponentTensors unet;
    for (const auto& [name, stored] : tensors) unet.emplace(name, whole(*stored));
    return unet;
  }
  return {};
}

bool is_open_clip(const OriginalTensors& tensors) {
  return tensors.contains("token_embedding.weight") && tensors.contains("positional_embedding");
}

/// As transformers has them, its projection too.
ComponentTensors clip_projected_of(const OriginalTensors& tensors) {
  constexpr const char* kProjection = "text_projection.weight";
  ComponentTensors text = dialects::clip_text_of(tensors);
  if (const auto found = tensors.find(kProjection); found != tensors.end())
    text.emplace(kProjection, whole(*found->second));
  return text;
}

/// By its width: the only other tower that is a model's first is that of Stable Diffusion 2, and wider.
TextTowerKind first_text_kind(const ComponentTensors& text) {
  constexpr uint64_t kClipWidth = 768;
  const auto embedding = text.find("text_model.embeddings.token_embedding.weight");
  const bool wide = embedding != text.end() && embedding->second.shape.size() == 2 &&
                    embedding->second.shape[1] > kClipWidth;
  return wide ? TextTowerKind::kOpenClip : TextTowerKind::kClip;
}

/// That of Stable Diffusion 1 or 2, or XL's first.
ComponentTensors find_first_text(const SafetensorsHeader& header) {
  for (const std::string_view prefix :
       Prefixes{"cond_stage_model.transformer.", "conditioner.embedders.0.transformer.",
                "cond_stage_model.model.", "text_encoders.clip_l.transformer.", "clip_l.transformer.",
                "clip_h.transformer.", "text_encoder.", ""}) {
    const OriginalTensors tensors = dialects::below(header, prefix);
    if (dialects::is_clip(tensors))
      return dialects::text_tower_of(tensors, first_text_kind(dialects::clip_text_of(tensors)));
    if (is_open_clip(tensors)) return dialects::text_tower_of(tensors, TextTowerKind::kOpenClip);
  }
  return {};
}

/// XL's second, which is its refiner's only one.
ComponentTensors find_second_text(const SafetensorsHeader& header) {
  for (const std::string_view prefix :
       Prefixes{"conditioner.embedders.1.model.", "conditioner.embedders.0.model.",
                "text_encoders.clip_g.transformer.", "clip_g.transformer.", "text_encoder_2.", ""}) {
    const OriginalTensors tensors = dialects::below(header, prefix);
    if (dialects::is_clip(tensors)) return clip_projected_of(tensors);
    if (is_open_clip(tensors)) return dialects::text_tower_of(tensors, TextTowerKind::kOpenClipProjected);
  }
  return {};
}

}  // namespace

ComponentTensors find_component(const SafetensorsHeader& header, const std::string& component) {
  if (component == "vae") return find_vae(header);
  if (component == "unet") return find_unet(header);
  return component == "text_encoder" ? find_first_text(header) : find_second_text(header);
}

std::string component_option(std::string component) {
  std::replace(component.begin(), component.end(), '_', '-');
  return "--" + component;
}

std::string component_config_text(const std::string& component, const ComponentTensors& tensors,
                                  const ComponentFacts& facts, const std::string& where) {
  if (component == "vae")
    return is_tiny_vae(tensors) ? dialects::tiny_vae_config(tensors, where)
                                : dialects::vae_config(tensors, facts.pixels, facts.scaling_factor, where);
  if (component == "unet")
    return dialects::unet_config(tensors, facts.pixels / kPixelsPerLatent, {facts.pooled, facts.time_ids},
                                 where);
  const TextTowerKind kind =
      component == "text_encoder" ? first_text_kind(tensors) : TextTowerKind::kOpenClipProjected;
  return dialects::text_config(tensors, kind, where);
}

}  // namespace brume
