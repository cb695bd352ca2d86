#pragma once
#include "brume/pipeline/model_config.h"
#include "brume/pipeline/picture_settings.h"

namespace brume::batch {

/// Takes from the command line what a job leaves out and can use. A job's own sampler may take no spacing or
/// no fresh noise, or name its spacing itself ("DPM++ 2M Karras"), and a list of sigmas has its own number of
/// steps: what the command line says of these was said of other jobs.
void complete_job(PictureSettings& job, const PictureSettings& defaults);

/// Throws kUsage where every job that follows the command line would be refused.
void check_defaults(const PictureSettings& defaults, const ModelConfig& model);

}  // namespace brume::batch
