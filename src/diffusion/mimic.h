#pragma once
#include <ATen/core/Tensor.h>

#include "brume/diffusion/guidance.h"

namespace brume {

/// Guidance by `scale` with the range of values of another scale (MimicThreshold), which is defined for clean
/// samples: the predictions are turned into these, and the result [N, C, H, W] is a prediction again.
at::Tensor mimicked(const Predictions& predictions, double scale, const MimicThreshold& mimic,
                    const GuidedPoint& point);

}  // namespace brume
