#pragma once
#include <ATen/core/Tensor.h>

namespace brume::kernels {

/// What a step works on; all of one shape, any.
struct GuidedStepTensors {
  at::Tensor latents;   // fp32
  at::Tensor negative;  // of positive's dtype; undefined: no guidance
  at::Tensor positive;  // fp32, fp16 or bf16
  at::Tensor noise;     // fp32; undefined: none
};

/// Guidance and a DDIM step in one pass over memory where a kernel does it ("Classifier-Free Diffusion
/// Guidance", Ho and Salimans 2022; "Denoising Diffusion Implicit Models", Song et al. 2020, equation 12):
/// with p = negative + guidance * (positive - negative), all in fp32, gives
/// latents_factor * latents + prediction_factor * p + noise_factor * noise, fp32 and like latents.
/// table [steps, 4] fp32: for each step the factors of latents, prediction and noise, and the guidance, as
/// StepFactors (small_params.h) has and ddim_factors (small_plan.h) computes them. step [1] int32: the row,
/// looked at on the device, so that a captured graph serves every step.
/// Throws std::invalid_argument where the shapes or dtypes do not fit.
at::Tensor guided_step(const GuidedStepTensors& tensors, const at::Tensor& table, const at::Tensor& step);

}  // namespace brume::kernels
