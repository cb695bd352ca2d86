#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "brume/weights/component_tensors.h"
#include "brume/weights/tensor_file.h"

namespace brume {

/// The tensors of `component` (unet, vae, text_encoder, text_encoder_2) in a file that holds it alone or with
/// others, by the names of diffusers: it may be in original naming, with or without a prefix, or in that of
/// diffusers and transformers; a vae may be a tiny one, or a half of it. Empty where there is none.
ComponentTensors find_component(const SafetensorsHeader& header, const std::string& component);

/// What a component's config.json holds, and its tensors do not tell: of the model that it is for.
struct ComponentFacts {
  uint64_t pixels = 512;  // the side it was trained at
  double scaling_factor = 0.18215;
  uint64_t pooled = 0;    // the width of the pooled words that a UNet is told; 0: none
  uint64_t time_ids = 6;  // and how many numbers of a picture's size
};
/// Its config.json, told from its tensors. `where` stands for the component in messages.
std::string component_config_text(const std::string& component, const ComponentTensors& tensors,
                                  const ComponentFacts& facts, const std::string& where);

/// The option that takes a component from elsewhere: "--text-encoder".
std::string component_option(std::string component);

}  // namespace brume
