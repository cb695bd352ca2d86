#include "brume/batch/job_defaults.h"

#include "brume/base/error.h"
#include "brume/diffusion/samplers.h"
#include "brume/diffusion/sigma_schedule.h"

namespace brume::batch {

namespace {

/// Leaves out what the job's own sampler has no use for. A name that nobody knows is told with the job.
void leave_to_sampler(const std::string& name, PictureSettings& defaults) {
  try {
    const NamedSampler own = named_sampler(name);
    if (own.spacing || !takes_spacing(own.sampler)) defaults.scheduler.reset();
    if (!default_eta(own.sampler)) defaults.eta.reset();
  } catch (const Error& error) {
    if (error.code() != ExitCode::kUsage) throw;
  }
}

/// Leaves out what holds for jobs alone that have the rest, which neither this one nor the defaults do.
void leave_to_others(const PictureSettings& job, PictureSettings& defaults) {
  if (job.init_img.value_or(defaults.init_img.value_or("")).empty()) {
    defaults.strength.reset();
    defaults.mask.reset();
  }
  if (!job.mimic_scale && !defaults.mimic_scale) defaults.threshold_percentile.reset();
  if (job.pag_scale.value_or(defaults.pag_scale.value_or(0)) > 0) return;
  defaults.pag_layers.reset();
  defaults.pag_adaptive_scale.reset();
}

}  // namespace

void complete_job(PictureSettings& job, const PictureSettings& defaults) {
  PictureSettings usable = defaults;
  if (job.sampler) leave_to_sampler(*job.sampler, usable);
  leave_to_others(job, usable);
  if (job.scheduler && is_sigma_list(*job.scheduler)) usable.steps.reset();
  if (job.steps && usable.scheduler && is_sigma_list(*usable.scheduler)) usable.scheduler.reset();
  job.complete_with(usable);
}

void check_defaults(const PictureSettings& defaults, const ModelConfig& model) {
  PictureSettings settings = defaults;
  leave_to_others({}, settings);
  if (!defaults.sampler) {
    // The jobs' own samplers may take what the model's has not.
    settings.eta.reset();
    if (defaults.scheduler) settings.sampler = sampler_name(Sampler::kEuler);
  }
  // A mask waits for jobs with a picture: whether it is there can be told now.
  if (!defaults.mask.value_or("").empty()) look_at_picture(*defaults.mask, "--mask");
  model.check_fit(model.resolve(settings, {0}));
}

}  // namespace brume::batch
