#include "brume/pipeline/pipeline.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/noise.h"
#include "brume/weights/adapters/adapters.h"
#include "finite.h"
#include "no_room.h"
#include "pace.h"
#include "with_room.h"

namespace brume {

namespace {

/// Adds the seconds since the last call to one phase at a time.
class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// A row that its step does not need has no prediction.
std::vector<at::Tensor> defined_of(std::vector<at::Tensor> predictions) {
  std::erase_if(predictions, [](const at::Tensor& one) { return !one.defined(); });
  return predictions;
}

PromptPlan plan_of(const Request& request, PromptRole role) {
  const std::string& text =
      role == PromptRole::kPrompt ? request.prompt : request.negative_prompt.value_or("");
  return plan_prompt(text, request.reading.compat, request.sampling.steps, role);
}

/// Puts a plan's rows behind those of `words`, whose texts the plan's will follow.
void append_rows(const PromptPlan& plan, PictureWords& words) {
  for (PlannedPart part : plan.parts) {
    for (PlannedText& one : part.times) one.text += words.texts.size();
    words.rows.push_back(std::move(part));
  }
}

}  // namespace

Pipeline::Pipeline(ModelConfig model, at::ScalarType dtype, std::shared_ptr<const kernels::gpu::Gpu> gpu)
    : model_(std::move(model)),
      gpu_(std::move(gpu)),
      placement_(dtype, gpu_ ? gpu_->properties().device : c10::Device(c10::kCPU)),
      remarks_(model_.remarks()),
      networks_(std::make_unique<Networks>(model_, placement_, vae_dtype(), gpu_, remarks_)) {
  check_words();
  if (const Adapters* adapters = model_.adapters())
    remarks_.insert(remarks_.begin(), adapters->remarks().begin(), adapters->remarks().end());
  if (const auto& embeddings = model_.embeddings())
    remarks_.insert(remarks_.begin(), embeddings->remarks().begin(), embeddings->remarks().end());
}

Pipeline::~Pipeline() = default;
Pipeline::Pipeline(Pipeline&&) noexcept = default;

/// Where fp16 would overflow, a GPU is as fast in bf16.
at::ScalarType Pipeline::vae_dtype() const {
  const at::ScalarType wanted = model_.vae_dtype(dtype());
  return gpu_ && wanted != dtype() ? at::kBFloat16 : wanted;
}

void Pipeline::check_words() const {
  const std::string file = model_.source().config_name("unet");
  const auto disagree = [&](const std::string& key, int64_t value, const std::string& other) {
    throw Error(ExitCode::kModelInvalid, file, key + ": " + std::to_string(value) + " does not fit " + other);
  };
  const auto [width, pooled] = networks_->prompts().use([](const PromptEncoder& prompts) {
    return std::pair(prompts.context_width(), prompts.pooled_width().value_or(0));
  });
  for (const UNetLevel& level : model_.unet().levels) {
    if (level.context_width != width) {
      disagree("cross_attention_dim", level.context_width,
               "the text encoder's width of " + std::to_string(width));
    }
  }
  const bool refines = model_.source().family() == ModelFamily::kStableDiffusionXlRefiner;
  const int64_t time_ids = refines ? 5 : 6;
  const std::optional<AddedCondition>& added = model_.unet().added;
  if (added && added->input_width != time_ids * added->time_id_width + pooled) {
    disagree("projection_class_embeddings_input_dim", added->input_width,
             std::string(refines ? "five" : "six") + " time ids and the pooled words");
  }
}

Generation Pipeline::generate(const Request& request, Observer& observer) const {
  std::optional<PictureInputs> inputs;
  return generate(request, observer, inputs);
}

Generation Pipeline::generate(const Request& request, Observer& observer,
                              std::optional<PictureInputs>& inputs) const {
  const c10::InferenceMode guard;
  check(request);
  Generation result;
  FiniteCheck finite(request.seeds.size(), gpu());
  Stopwatch watch;

  WordsInTime words = first_words(request, finite, observer);
  wait();
  result.times.text_seconds = watch.lap();
  if (!inputs) inputs = picture_inputs(request);
  result.times.encode_seconds = watch.lap();

  Noise generators(request.seeds, request.rng);
  const auto noise = [&] { return placed(generators.normal(model_.latent_sizes(request))); };
  Pace pace(gpu_.get());
  const auto observe = [&](int64_t step, const at::Tensor& latents) {
    observer.on_stage("latents_step" + std::to_string(step), latents);
    finite.look(latents, "latents after step " + std::to_string(step + 1));
    pace.step();
    observer.on_step(step + 1, request.sampling.steps_taken());
    result.stopped = observer.stop_requested();
    if (step + 1 < request.sampling.steps_taken()) words.move_to(step + 1);
    return !result.stopped && !finite.all_failed();
  };
  const PictureStart begun = start(request, *inputs, generators);
  words.set_beside(begun.beside);
  std::vector<std::string> notes;
  const at::Tensor latents = sample(model_.schedule(), request.sampling, begun.beginning,
                                    denoiser(words, observer, notes), noise, observe);
  result.latents = latents.cpu();
  result.times.denoise_seconds = watch.lap();
  if (result.stopped) return result;

  result.pictures = decode_all(request, latents, *inputs, finite, observer);
  for (PictureResult& picture : result.pictures)
    picture.notes.insert(picture.notes.begin(), notes.begin(), notes.end());
  result.times.decode_seconds = watch.lap();
  return result;
}

void Pipeline::check(const Request& request) const {
  if (!gpu_) {
    model_.check(request, dtype());
    return;
  }
  model_.check_fit(request);
  model_.check_pictures(request);
  const int64_t free = gpu_->free_memory() + networks_->streamable_bytes();
  // A GPU has both in types of one width.
  model_.check_least_memory(request, vae_dtype(), static_cast<double>(free));
}

/// For the GPU to have done what it was told.
void Pipeline::wait() const {
  if (gpu_) gpu_->synchronize();
}

at::Tensor Pipeline::placed(const at::Tensor& values) const {
  return values.defined() ? values.to(placement_.device, values.scalar_type(), /*non_blocking=*/true)
                          : values;
}

PictureWords Pipeline::words(const Request& request, Observer& observer) const {
  RecentPrompts none(0);  // the observer sees all
  return words(request, none, observer);
}

PictureWords Pipeline::words(const Request& request, RecentPrompts& recent, Observer& observer) const {
  const c10::InferenceMode guard;
  if (request.reading.unread == Unread::kRefuse) check_read(request);
  return with_room(*networks_, networks_->prompts(), [&](const PromptEncoder& prompts) {
    return encoded_words(prompts, request, recent, observer);
  });
}

PictureWords Pipeline::encoded_words(const PromptEncoder& prompts, const Request& request,
                                     RecentPrompts& recent, Observer& observer) const {
  const Compat compat = request.reading.compat;
  PictureWords words;
  if (request.guidance.active()) {
    // diffusers skips no layer here.
    const int64_t clip_skip = compat == Compat::kDiffusers ? 1 : request.clip_skip;
    const PromptPlan plan = plan_of(request, PromptRole::kNegative);
    append_rows(plan, words);
    Observer unseen;  // the stage "ids" is that of the prompt
    for (const std::string& text : plan.texts) {
      const bool nothing = !request.negative_prompt;
      const EncodedPrompt encoded = recent.encoded({text, nothing, compat, clip_skip}, [&] {
        return nothing ? prompts.encode_nothing(compat, clip_skip)
                       : prompts.encode(text, compat, clip_skip, unseen);
      });
      words.texts.push_back(conditioning(request, encoded, PromptRole::kNegative));
    }
  }
  const PromptPlan plan = plan_of(request, PromptRole::kPrompt);
  append_rows(plan, words);
  for (const std::string& text : plan.texts) {
    const EncodedPrompt encoded = recent.encoded({text, false, compat, request.clip_skip}, [&] {
      return prompts.encode(text, compat, request.clip_skip, observer);
    });
    words.texts.push_back(conditioning(request, encoded, PromptRole::kPrompt));
  }
  return words;
}

UnreadWords Pipeline::unread(const Request& request, PromptRole role) const {
  return with_room(*networks_, networks_->prompts(), [&](const PromptEncoder& prompts) {
    return prompts.unread(plan_of(request, role), request.reading.compat);
  });
}

void Pipeline::check_read(const Request& request) const {
  const auto check = [&](PromptRole role, const std::string& where) {
    const UnreadWords unread = this->unread(request, role);
    if (unread.tokens_cut > 0) {
      throw Error(
          ExitCode::kInputInvalid, where,
          "too long for this model: its last " + std::to_string(unread.tokens_cut) + " tokens are not seen",
          "shorten it, or leave --strict out");
    }
    if (!unread.ignored.empty()) {
      throw Error(ExitCode::kInputInvalid, where, unread.ignored.front(), "mend it, or leave --strict out");
    }
  };
  check(PromptRole::kPrompt, "prompt");
  if (request.negative_prompt && request.guidance.active()) check(PromptRole::kNegative, "negative prompt");
}

/// One row for the UNet, with the sizes that SDXL is told, or the sizes and the beauty that its refiner is,
/// and the scale that a distilled one is.
Conditioning Pipeline::conditioning(const Request& request, const EncodedPrompt& prompt,
                                    PromptRole role) const {
  // As diffusers' StableDiffusionXLImg2ImgPipeline has them where nobody says otherwise.
  constexpr float kWanted = 6;
  constexpr float kUnwanted = 2.5;
  Conditioning row{prompt.context, {}, {}, {}};
  if (request.guidance.told) row.scale = at::full({1}, request.guidance.scale, at::kFloat);
  const ModelFamily family = model_.source().family();
  if (!is_xl(family)) return row;
  const auto height = static_cast<float>(request.height);
  const auto width = static_cast<float>(request.width);
  row.pooled = prompt.pooled;
  row.time_ids =
      family == ModelFamily::kStableDiffusionXlRefiner
          ? at::tensor({height, width, 0.0F, 0.0F, role == PromptRole::kPrompt ? kWanted : kUnwanted})
          : at::tensor({height, width, 0.0F, 0.0F, height, width});
  row.time_ids = row.time_ids.unsqueeze(0);
  return row;
}

/// The words of one picture for each seed, in the first step.
WordsInTime Pipeline::first_words(const Request& request, FiniteCheck& finite, Observer& observer) const {
  PictureWords one = words(request, observer);
  for (const Conditioning& text : one.texts) {
    finite.look_at_shared(text.context, "text embedding");
    if (text.pooled.defined()) finite.look_at_shared(text.pooled, "pooled text embedding");
  }
  WordsInTime all(*this, request, std::move(one));
  const Conditioning& first = all.groups().front().conditioning;
  observer.on_stage("context", first.context);
  if (first.pooled.defined()) observer.on_stage("pooled", first.pooled);
  return all;
}

Denoiser Pipeline::denoiser(WordsInTime& words, Observer& observer, std::vector<std::string>& notes) const {
  return [this, &words, &observer, &notes, first = true](const at::Tensor& latents,
                                                         const NoiseLevel& level) mutable {
    std::vector<at::Tensor> predictions(words.rows());
    for (WordGroup& group : words.groups()) {
      const auto count = static_cast<int64_t>(group.rows.size());
      const at::Tensor input = words.input(group, latents);
      const PredictedRows predicted = predict(input, words.times(group, level.timestep), group.words);
      if (predicted.in_parts) add_note(notes, kSmallerBatchNote);
      const std::vector<at::Tensor> parts = predicted.prediction.chunk(count);
      for (size_t i = 0; i < parts.size(); ++i) predictions[group.rows[i]] = parts[i];
    }
    if (std::exchange(first, false)) observer.on_stage("unet_out_step0", at::cat(defined_of(predictions)));
    return words.output(predictions, latents, level);
  };
}

PreparedWords Pipeline::prepare(const Conditioning& words) const {
  const c10::InferenceMode guard;
  return with_room(*networks_, networks_->unet(),
                   [&](const PlacedUNet& placed) { return placed.unet.prepare(words); });
}

at::Tensor Pipeline::times(const std::vector<double>& timesteps, const PreparedWords& words) const {
  const c10::InferenceMode guard;
  const at::Tensor asked = at::tensor(timesteps).to(at::kFloat);
  return with_room(*networks_, networks_->unet(),
                   [&](const PlacedUNet& placed) { return placed.unet.times(asked, words); });
}

PredictedRows Pipeline::predict(const at::Tensor& input, const at::Tensor& times,
                                const PreparedWords& words) const {
  const c10::InferenceMode guard;
  const auto predicted = [&](const PlacedUNet& placed) -> PredictedRows {
    if (placed.rows) return (*placed.rows)(input, times, words);
    return {placed.unet(input.to(dtype()), times, words).to(at::kFloat)};
  };
  try {
    return with_room(*networks_, networks_->unet(), predicted);
  } catch (const c10::OutOfMemoryError&) {
    throw no_room("a step of one row", model_.row_bytes(input.size(2), input.size(3), dtype()),
                  static_cast<double>(gpu_->free_memory()),
                  dtype() == at::kFloat ? "use a smaller size, --dtype fp16 or --device cpu"
                                        : "use a smaller size or --device cpu");
  }
}

}  // namespace brume
