#pragma once
#include <ATen/core/Tensor.h>

namespace brume {

/// The part of a picture that stays while the rest is drawn anew. Wherever the network looks after the first
/// step it has the noise of that level, always the same, as StableDiffusionInpaintPipeline blends it in.
struct KeptPart {
  at::Tensor mask;     // [1, 1, H, W] of bools: true where the picture is drawn anew
  at::Tensor picture;  // latents [N, C, H, W] fp32
  at::Tensor noise;    // what the walk begins with, [N, C, H, W] fp32 of unit variance

  /// `x` [N, C, H, W] where it is drawn anew, signal * picture + deviation * noise elsewhere.
  at::Tensor around(const at::Tensor& x, double signal, double deviation) const;
  /// The same at the end, where there is no noise.
  at::Tensor around(const at::Tensor& x) const;
};

}  // namespace brume
