#pragma once
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
/// transformers' own names, as the CLIP tower of Stable Diffusion 1 and the first of XL have them.
ComponentTensors clip_text_of(const OriginalTensors& tensors);
/// OpenCLIP's, as the towers of Stable Diffusion 2, the second of XL and the refiner's have them. Layers from
/// `layers` on are left out.
ComponentTensors open_clip_text_of(const OriginalTensors& tensors, size_t layers);
/// How many layers an OpenCLIP tower has.
size_t open_clip_layers(const OriginalTensors& tensors);

}  // namespace brume::dialects
