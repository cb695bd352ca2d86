#pragma once
#include "config_text.h"
#include "name_table.h"

// The names that CompVis' latent-diffusion and Stability's generative-models gave their modules, and with
// them nearly every checkpoint of one file. Each function gives a component's tensors the names of diffusers;
// what no table knows is left out.
namespace brume::dialects {

/// Names below "model.diffusion_model.".
ComponentTensors unet_of(const OriginalTensors& tensors);
/// Names below "first_stage_model.".
ComponentTensors vae_of(const OriginalTensors& tensors);
/// The names that taesd.py gives a tiny autoencoder's layers: both of its halves, or the one that is there.
ComponentTensors tiny_vae_of(const OriginalTensors& tensors);
/// Whether a text tower has transformers' own names.
bool is_clip(const OriginalTensors& tensors);
/// transformers' own names, as the CLIP tower of Stable Diffusion 1 and the first of XL have them.
ComponentTensors clip_text_of(const OriginalTensors& tensors);
/// Those of a text tower: transformers' own, or for the others OpenCLIP's, as the towers of Stable Diffusion
/// 2, the second of XL and the refiner's have them. What of it the model does not read is left out.
ComponentTensors text_tower_of(const OriginalTensors& tensors, TextTowerKind kind);

}  // namespace brume::dialects
