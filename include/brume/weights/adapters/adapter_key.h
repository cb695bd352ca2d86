#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace brume {

/// The networks that adapters are made for.
enum class AdapterTower { kUNet, kText, kText2 };

/// What a tensor of an adapter file is to its module.
enum class AdapterRole {
  kDown,  // LoRA: up [out, r], down [r, in, ...], and between them mid [r, r, ...]
  kUp,
  kMid,
  kUpBias,
  kAlpha,
  kDoraScale,  // DoRA: of inputs or of outputs, as its shape says
  kMagnitude,  // the same of outputs, as PEFT calls it
  kHadaW1A,    // LoHa: (w1_a w1_b) * (w2_a w2_b), each around a core t
  kHadaW1B,
  kHadaW2A,
  kHadaW2B,
  kHadaT1,
  kHadaT2,
  kLokrW1,  // LoKr: the Kronecker product of w1 and w2, each whole or as a product
  kLokrW1A,
  kLokrW1B,
  kLokrW2,
  kLokrW2A,
  kLokrW2B,
  kLokrT2,
  kDiff,  // the change itself, of a weight and of a bias
  kDiffBias,
};

/// A key of an adapter file, taken apart.
struct AdapterKey {
  AdapterTower tower;
  std::string module;  // with underscores for dots, and without "text_model."
  AdapterRole role;
};

/// Reads a key in the naming of kohya ("lora_unet_..._to_q.lora_down.weight"), of diffusers and PEFT
/// ("unet....to_q.lora_A.weight", "....processor.to_q_lora.down.weight") or of original checkpoints
/// ("diffusion_model.input_blocks...."). Nothing for a tensor that is none of an adapter's.
std::optional<AdapterKey> read_adapter_key(std::string_view key);

/// `name` with underscores for dots.
std::string flattened(std::string_view name);

}  // namespace brume
