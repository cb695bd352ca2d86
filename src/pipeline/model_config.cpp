#include "brume/pipeline/model_config.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/shortest_number.h"
#include "brume/pipeline/guidance_choice.h"
#include "brume/pipeline/memory.h"
#include "brume/pipeline/model_adapters.h"
#include "brume/text/adapter_tags.h"
#include "brume/text/prompt_plan.h"
#include "no_room.h"
#include "picture_edit.h"

namespace brume {

namespace {

constexpr int64_t kMostCheckedSide = int64_t{1} << 24;  // so that the next product cannot overflow
constexpr int64_t kMostPixels = 100'000'000;

NamedSampler choose_sampler(const std::optional<std::string>& name, const NoiseSchedule& schedule) {
  if (name) return named_sampler(*name);
  const NoiseScheduleConfig& config = schedule.config();
  const Sampler own = sampler_of_class(config.class_name).value_or(Sampler::kDdim);
  return {own == Sampler::kDpmpp2m && config.stochastic ? Sampler::kDpmpp2mSde : own, {}};
}

SigmaSpacing choose_spacing(const NamedSampler& named, const std::optional<std::string>& scheduler,
                            ModelFamily family, const NoiseSchedule& schedule) {
  const SigmaSpacing own =
      takes_spacing(named.sampler) ? schedule.config().sigma_spacing : SigmaSpacing::kModel;
  const bool automatic = scheduler && is_automatic(*scheduler);
  const SigmaSpacing unsaid = named.spacing.value_or(automatic ? automatic_spacing(named.sampler) : own);
  const SigmaSpacing spacing = scheduler && !automatic ? spacing_from_name(*scheduler) : unsaid;
  const bool xl = is_xl(family);
  return xl && spacing == SigmaSpacing::kAlignYourSteps ? SigmaSpacing::kAlignYourStepsXl : spacing;
}

/// As short as they read back the same: one list, one text.
std::string sigmas_text(const std::vector<double>& sigmas) {
  std::string text;
  for (const double sigma : sigmas) text += (text.empty() ? "" : ",") + shortest_number(sigma);
  return text;
}

/// The words, and what the prompt says of adapters.
void take_prompts(const PictureSettings& settings, Request& request) {
  const std::string typed = settings.prompt.value_or("");
  TaggedPrompt split = split_adapter_tags(typed);
  request.prompt = std::move(split.words);
  if (!split.tags.empty()) request.adapters = {typed, tags_text(split.tags), std::move(split.tags)};
  request.negative_prompt = settings.negative_prompt;
  if (!request.negative_prompt || split_adapter_tags(*request.negative_prompt).tags.empty()) return;
  throw Error(ExitCode::kUsage, "--negative-prompt", "holds <lora:...>, which works in the prompt alone",
              "move it there");
}

SamplingSettings sampling_of(const PictureSettings& settings, const ModelSource& source,
                             const NoiseSchedule& schedule) {
  const NamedSampler named = choose_sampler(settings.sampler, schedule);
  // The model's is what those have that know no other.
  const bool spaced =
      settings.scheduler && !is_automatic(*settings.scheduler) &&
      (is_sigma_list(*settings.scheduler) || spacing_from_name(*settings.scheduler) != SigmaSpacing::kModel);
  if ((spaced || named.spacing) && !takes_spacing(named.sampler))
    throw Error(ExitCode::kUsage, "--scheduler " + settings.scheduler.value_or("in the sampler's name"),
                std::string(sampler_name(named.sampler)) + " has its own",
                "leave it out, or name another sampler: --sampler dpm++2m");
  SamplingSettings sampling;
  sampling.sampler = named.sampler;
  sampling.steps = settings.steps.value_or(source.facts().defaults.steps);
  if (settings.scheduler && is_sigma_list(*settings.scheduler)) {
    const SigmaSchedule listed = sigma_schedule_from_text(schedule, *settings.scheduler);
    sampling.sigmas = sigmas_text(listed.sigmas);
    sampling.steps = static_cast<int64_t>(listed.timesteps.size());
    if (settings.steps.value_or(sampling.steps) != sampling.steps)
      throw Error(ExitCode::kUsage, "--steps " + std::to_string(*settings.steps),
                  "the list of sigmas makes " + std::to_string(sampling.steps) + " steps",
                  "leave --steps out");
  } else {
    sampling.spacing = choose_spacing(named, settings.scheduler, source.family(), schedule);
  }
  const std::optional<double> usual = default_eta(sampling.sampler);
  if (!usual && settings.eta.value_or(0) != 0)
    throw Error(ExitCode::kUsage, "--eta", std::string(sampler_name(sampling.sampler)) + " has none",
                "leave it out");
  sampling.eta = usual ? settings.eta.value_or(*usual) : 0;
  return sampling;
}

NoiseScheduleConfig read_schedule(const ModelSource& source, const ModelChoices& choices,
                                  std::vector<std::string>& remarks) {
  NoiseScheduleConfig schedule = NoiseScheduleConfig::read(source.config("scheduler"), remarks);
  if (choices.prediction) schedule.prediction = *choices.prediction;
  return schedule;
}

/// A1111 draws by the GPU's generator, as stable-diffusion.cpp does; who asks for pictures like theirs by
/// name gets these.
NoiseKind choose_noise(const PictureSettings& settings) {
  if (settings.rng) return noise_kind_from_name(*settings.rng);
  return settings.compat && compat_from_name(*settings.compat) != Compat::kDiffusers ? NoiseKind::kCuda
                                                                                     : NoiseKind::kCpu;
}

/// The layer as Request counts it. A1111 takes SDXL's own layer whatever is asked; diffusers counts the
/// layers skipped; stable-diffusion.cpp counts SDXL's from the last, where the model's own is the second.
int64_t choose_layer(const std::optional<int64_t>& clip_skip, Compat compat, ModelFamily family) {
  if (!clip_skip) return 1;
  const bool xl = is_xl(family);
  switch (compat) {
    case Compat::kA1111:
      return xl ? 1 : *clip_skip;
    case Compat::kDiffusers:
      return *clip_skip + 1;
    case Compat::kSdCpp:
      return xl ? *clip_skip - 1 : *clip_skip;
  }
  return 1;
}

}  // namespace

ModelConfig::ModelConfig(const std::filesystem::path& path, const ModelChoices& choices)
    : plain_(open_model(path, choices)),
      source_(plain_),
      remarks_(source_->facts().remarks),
      unet_(UNetConfig::read(source_->config("unet"), remarks_)),
      vae_(VaeConfig::read(source_->config("vae"), remarks_)),
      schedule_(read_schedule(*source_, choices, remarks_)),
      task_(own_task(choices)) {
  check_own();
}

std::array<int64_t, 3> ModelConfig::latent_sizes(const Request& request) const {
  return {latent_channels(), request.height / factor(), request.width / factor()};
}

double ModelConfig::step_work(int64_t width, int64_t height) const {
  return unet_.convolution_work(height / factor(), width / factor());
}

void ModelConfig::adapt(std::shared_ptr<const Adapters> adapters) {
  adapters_ = std::move(adapters);
  source_ = adapters_ ? with_adapters(plain_, adapters_) : plain_;
}

at::ScalarType ModelConfig::vae_dtype(at::ScalarType dtype) const {
  return dtype == at::kHalf && vae_.force_fp32 ? at::kFloat : dtype;
}

Request ModelConfig::resolve(const PictureSettings& settings, std::vector<uint64_t> seeds) const {
  const ModelDefaults& defaults = source_->facts().defaults;
  const int64_t trained_side = unet_.sample_size.value_or(64) * factor();
  Request request;
  take_prompts(settings, request);
  request.width = settings.width.value_or(defaults.width.value_or(trained_side));
  request.height = settings.height.value_or(defaults.height.value_or(trained_side));
  request.seeds = std::move(seeds);
  request.rng = choose_noise(settings);
  request.sampling = sampling_of(settings, *source_, schedule_);
  request.edit = edit_of(settings, task());
  if (request.edit) {
    const PngSize size = edited_size(request.edit->picture.size, settings, factor());
    request.width = size.width;
    request.height = size.height;
    request.sampling.first_step = first_step_of(*request.edit, request.sampling.steps);
  }
  request.guidance = choose_guidance(settings, defaults.cfg_scale, task());
  request.guidance.told = unet_.scale_width.has_value();
  if (request.guidance.perturbed.active()) perturbed_layers(unet_, request.guidance.perturbed.layers);
  if (!settings.freeu.value_or("").empty()) request.free_u = free_u_from_text(*settings.freeu);
  if (settings.compat) request.reading.compat = compat_from_name(*settings.compat);
  if (settings.strict.value_or(false)) request.reading.unread = Unread::kRefuse;
  request.clip_skip = choose_layer(settings.clip_skip, request.reading.compat, source_->family());
  if (request.reading.unread == Unread::kRefuse && ignores_clip_skip(settings)) {
    throw Error(ExitCode::kInputInvalid, "--clip-skip " + std::to_string(*settings.clip_skip),
                "A1111 skips no layer of this model",
                "leave it or --strict out, or count by another --compat");
  }
  request.decode = settings.vae_tiling.value_or(false) ? DecodeMode::kTiled : DecodeMode::kWhole;
  return request;
}

bool ModelConfig::ignores_clip_skip(const PictureSettings& settings) const {
  return settings.clip_skip.value_or(1) > 1 && is_xl(source_->family()) &&
         settings.compat.value_or("a1111") == "a1111";
}

ModelTask ModelConfig::own_task(const ModelChoices& choices) const {
  const int64_t latents = latent_channels();
  const int64_t beside = unet_.in_channels - latents;
  const bool refines = source_->family() == ModelFamily::kStableDiffusionXlRefiner;
  if (beside == 0) return refines ? ModelTask::kRefine : ModelTask::kDraw;
  if (beside == 1 + latents) return ModelTask::kInpaint;
  if (beside == latents) return ModelTask::kEdit;
  if (const auto vae = choices.components.find("vae"); vae != choices.components.end())
    throw Error(ExitCode::kModelInvalid, vae->second.string(),
                "makes latents of " + std::to_string(latents) + " channels, which the UNet's " +
                    std::to_string(unet_.in_channels) + " input channels do not fit",
                "use an autoencoder of the model's kind");
  throw Error(ExitCode::kModelInvalid, source_->config_name("unet"),
              "in_channels: " + std::to_string(unet_.in_channels) + " does not fit the autoencoder's " +
                  std::to_string(latents) + " latent channels",
              "brume has UNets that read these alone (" + std::to_string(latents) +
                  "), beside a picture's (" + std::to_string(2 * latents) +
                  "), and beside these and a mask (" + std::to_string(2 * latents + 1) + ")");
}

void ModelConfig::check_own() const {
  const std::string file = source_->config_name("unet");
  if (unet_.out_channels != latent_channels())
    throw Error(ExitCode::kModelInvalid, file,
                "out_channels: " + std::to_string(unet_.out_channels) + " does not fit the autoencoder's " +
                    std::to_string(latent_channels()) + " latent channels");
  if (unet_.added.has_value() != is_xl(source_->family()))
    throw Error(ExitCode::kModelInvalid, file, "addition_embed_type does not fit the pipeline's class");
  const auto check_side = [this](const char* key, const std::optional<int64_t>& pixels) {
    if (!pixels || *pixels % factor() == 0) return;
    throw Error(ExitCode::kModelInvalid, source_->facts().defaults_file.string(),
                std::string(key) + ": " + std::to_string(*pixels) + " is not supported",
                "it must be a multiple of the autoencoder's " + std::to_string(factor()));
  };
  check_side("width", source_->facts().defaults.width);
  check_side("height", source_->facts().defaults.height);
}

void ModelConfig::check(const Request& request, at::ScalarType dtype) const {
  check_fit(request);
  check_pictures(request);
  check_memory(request, dtype);
}

void ModelConfig::check_fit(const Request& request) const {
  const auto check_side = [&](const char* option, int64_t pixels) {
    if (pixels > 0 && pixels % factor() == 0) return;
    const int64_t lower = std::max(pixels / factor() * factor(), factor());
    throw Error(ExitCode::kUsage, std::string(option) + " " + std::to_string(pixels),
                "not a multiple of this model's " + std::to_string(factor()),
                "use " + std::to_string(lower) + " or " + std::to_string(lower + factor()));
  };
  if (request.width > kMostCheckedSide || request.height > kMostCheckedSide ||
      request.width * request.height > kMostPixels)
    throw Error(ExitCode::kUsage, "--width, --height", "more than 100 million pixels", "use a smaller size");
  check_side("--width", request.width);
  check_side("--height", request.height);
  check_sampling(schedule_, request.sampling);
  if (!request.init_latents) return;
  const std::vector<int64_t> wanted{static_cast<int64_t>(request.seeds.size()), latent_channels(),
                                    request.height / factor(), request.width / factor()};
  if (request.init_latents->sizes() == at::IntArrayRef(wanted)) return;
  std::ostringstream text;
  text << "latents " << request.init_latents->sizes() << " do not fit";
  std::ostringstream remedy;
  remedy << "this run needs " << at::IntArrayRef(wanted);
  throw Error(ExitCode::kInputInvalid, "--init-latents", text.str(), remedy.str());
}

void ModelConfig::check_pictures(const Request& request) const {
  check_pictures_for(task(), request.edit);
  if (request.edit && !vae_.has_encoder())
    throw Error(ExitCode::kUsage, "--init-img",
                source_->config_name("vae") + " has no encoder, which reads pictures",
                "name an autoencoder of both halves with --vae");
}

double ModelConfig::row_bytes(int64_t height, int64_t width, at::ScalarType dtype) const {
  return static_cast<double>(c10::elementSize(dtype)) * unet_.activation_values(height, width);
}

double ModelConfig::step_bytes(const Request& request, at::ScalarType dtype) const {
  // A step holds the UNet's maps of every picture, for each text that it follows.
  const size_t parts = count_parts(request.prompt, request.reading.compat);
  const GuidanceSettings& guidance = request.guidance;
  const size_t texts = (guidance.perturbed.active() ? 2 * parts : parts) + (guidance.active() ? 1 : 0) +
                       (guidance.guided_by_image() ? 1 : 0);
  return static_cast<double>(texts) * static_cast<double>(request.seeds.size()) *
         row_bytes(request.height / factor(), request.width / factor(), dtype);
}

double ModelConfig::decode_bytes(const Request& request, at::ScalarType dtype) const {
  // Pictures are decoded one at a time: the decoder's last level holds less than three maps of its widest
  // part at the size of the picture (measured: 2.5 of SD1.5 and SDXL on an H100, on a processor 2.7 of SD1.5
  // at 768x768 and 2.9 of the embedded model at 1024x1024), a tile far less.
  constexpr double kMaps = 3;
  const auto widest = static_cast<double>(vae_.channels[std::min<size_t>(1, vae_.channels.size() - 1)]);
  const double pixels = static_cast<double>(request.width) * static_cast<double>(request.height);
  const double maps = request.decode == DecodeMode::kTiled ? vae_.picture_channels : widest;
  return kMaps * maps * pixels * static_cast<double>(c10::elementSize(vae_dtype(dtype))) +
         static_cast<double>(request.seeds.size()) * vae_.picture_channels * pixels * sizeof(float);
}

void ModelConfig::check_memory(const Request& request, at::ScalarType dtype) const {
  check_memory(request, dtype, available_memory());
}

void ModelConfig::check_memory(const Request& request, at::ScalarType dtype,
                               const std::optional<double>& free) const {
  const double step = step_bytes(request, dtype);
  const double decoding = decode_bytes(request, dtype);
  if (!free || std::max(step, decoding) < *free) return;
  const bool tiling_helps = decoding > step && request.decode == DecodeMode::kWhole;
  const std::string smaller = request.seeds.size() > 1 ? "a smaller size or --batch-size" : "a smaller size";
  throw no_room(step > decoding ? "a step" : "decoding", std::max(step, decoding), *free,
                (tiling_helps ? "use --vae-tiling or " : "use ") + smaller);
}

void ModelConfig::check_least_memory(const Request& request, at::ScalarType dtype, double free) const {
  const double step = row_bytes(request.height / factor(), request.width / factor(), dtype);
  Request least = request;
  least.seeds.resize(1);
  least.decode = DecodeMode::kTiled;
  const double decoding = decode_bytes(least, dtype);
  if (std::max(step, decoding) < free) return;
  throw no_room(step > decoding ? "a step of one row" : "decoding by tiles", std::max(step, decoding), free,
                "use a smaller size or --device cpu");
}

}  // namespace brume
