#pragma once
#include "brume/diffusion/guidance.h"
#include "brume/pipeline/model_task.h"
#include "brume/pipeline/picture_settings.h"

namespace brume {

/// What settings say of guidance, with the model's own scale where they do not say. Throws kUsage for what
/// does nothing without something else or has no meaning for the task, and for an interval that ends before
/// it begins.
GuidanceSettings choose_guidance(const PictureSettings& settings, double own_scale, ModelTask task);

}  // namespace brume
