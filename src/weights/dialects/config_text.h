#pragma once
#include <cstdint>
#include <string>

#include "brume/weights/component_tensors.h"

// A component's config.json, told from the names and shapes of its tensors. What these do not say is what
// every model of the original code has: 32 groups a norm, and heads by the rules below. `where` stands for
// the component in messages; a tensor that must be there and is not throws kModelInvalid.
namespace brume::dialects {

/// What SDXL's UNets are told beside the words.
struct AddedInputs {
  uint64_t pooled;    // the width of the pooled words; 0: there are none
  uint64_t time_ids;  // how many
};

/// UNet2DConditionModel. A model whose transformers are entered by 1x1 convolutions (Stable Diffusion 1) has
/// 8 heads, one whose are by linear layers (2 and XL) has heads of 64 numbers.
std::string unet_config(const ComponentTensors& unet, uint64_t sample_size, const AddedInputs& added,
                        const std::string& where);

/// AutoencoderKL.
std::string vae_config(const ComponentTensors& vae, uint64_t sample_size, double scaling_factor,
                       const std::string& where);

/// AutoencoderTiny; one that is a decoder alone has "num_encoder_blocks" of nothing.
std::string tiny_vae_config(const ComponentTensors& vae, const std::string& where);

enum class TextTowerKind { kClip, kOpenClip, kOpenClipProjected };
/// CLIPTextModel, or CLIPTextModelWithProjection. Heads of 64 numbers.
std::string text_config(const ComponentTensors& text, TextTowerKind kind, const std::string& where);

}  // namespace brume::dialects
