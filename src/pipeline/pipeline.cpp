#include "brume/pipeline/pipeline.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <functional>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/noise.h"
#include "brume/weights/weights.h"
#include "finite.h"
#include "remarks.h"

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

/// A network of the model with its weights as `dtype`.
template <class Network, class Config>
Network open_network(const ModelSource& model, const char* component, const Config& config,
                     at::ScalarType dtype, std::vector<std::string>& remarks) {
  const c10::InferenceMode guard;
  const Weights weights = model.weights(component);
  Network network(weights.view(dtype), config);
  append_unused(weights, component, remarks);
  return network;
}

/// [3, H, W] in about [-1, 1] -> one picture, rounded as diffusers rounds.
Picture to_picture(const at::Tensor& decoded) {
  const at::Tensor bytes =
      ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().to(at::kByte).permute({1, 2, 0}).contiguous();
  Picture picture{static_cast<int>(bytes.size(1)), static_cast<int>(bytes.size(0)), {}};
  const uint8_t* values = bytes.const_data_ptr<uint8_t>();
  picture.pixels.assign(values, values + bytes.numel());
  return picture;
}

at::Tensor rows(const at::Tensor& one, int64_t count) { return one.repeat_interleave(count, 0); }

}  // namespace

Pipeline::Pipeline(ModelConfig model, at::ScalarType dtype)
    : model_(std::move(model)),
      dtype_(dtype),
      remarks_(model_.remarks()),
      prompts_(model_.source(), dtype, remarks_),
      unet_(open_network<UNet>(model_.source(), "unet", model_.unet(), dtype, remarks_)),
      vae_(open_vae(model_.vae_dtype(dtype), remarks_)) {
  check_words();
}

AutoencoderKL Pipeline::open_vae(at::ScalarType dtype, std::vector<std::string>& remarks) const {
  return open_network<AutoencoderKL>(model_.source(), "vae", model_.vae(), dtype, remarks);
}

void Pipeline::check_words() const {
  const std::string file = model_.source().config_name("unet");
  const auto disagree = [&](const std::string& key, int64_t value, const std::string& other) {
    throw Error(ExitCode::kModelInvalid, file, key + ": " + std::to_string(value) + " does not fit " + other);
  };
  for (const UNetLevel& level : model_.unet().levels) {
    if (level.context_width != prompts_.context_width()) {
      disagree("cross_attention_dim", level.context_width,
               "the text encoder's width of " + std::to_string(prompts_.context_width()));
    }
  }
  constexpr int64_t kTimeIds = 6;
  const std::optional<AddedCondition>& added = model_.unet().added;
  if (added && added->input_width != kTimeIds * added->time_id_width + prompts_.pooled_width().value_or(0)) {
    disagree("projection_class_embeddings_input_dim", added->input_width,
             "six time ids and the pooled words");
  }
}

Generation Pipeline::generate(const Request& request, Observer& observer) const {
  const c10::InferenceMode guard;
  model_.check(request, dtype_);
  Generation result;
  FiniteCheck finite(request.seeds.size());
  Stopwatch watch;

  const PreparedWords words = prepare(condition(request, finite, observer));
  result.times.text_seconds = watch.lap();

  Noise generators(request.seeds);
  const auto noise = [&] { return generators.normal(model_.latent_sizes(request)); };
  const auto observe = [&](int64_t step, const at::Tensor& latents) {
    observer.on_stage("latents_step" + std::to_string(step), latents);
    finite.look(latents, "latents after step " + std::to_string(step + 1));
    observer.on_step(step + 1, request.sampling.steps);
    result.stopped = observer.stop_requested();
    return !result.stopped && !finite.all_failed();
  };
  result.latents = sample(model_.schedule(), request.sampling, first_latents(request, noise),
                          denoiser(request, words, observer), noise, observe);
  result.times.denoise_seconds = watch.lap();
  if (result.stopped) return result;

  result.pictures = decode_all(request, result.latents, finite, observer);
  result.times.decode_seconds = watch.lap();
  return result;
}

Conditioning Pipeline::words(const Request& request, Observer& observer) const {
  const c10::InferenceMode guard;
  std::vector<EncodedPrompt> prompts;
  if (request.guidance.active()) prompts.push_back(prompts_.encode_negative(request.negative_prompt));
  prompts.push_back(prompts_.encode(request.prompt, request.clip_skip, observer));
  const auto stacked = [&](at::Tensor EncodedPrompt::*part) {
    return prompts.size() == 1 ? prompts[0].*part : at::cat({prompts[0].*part, prompts[1].*part});
  };
  Conditioning words{stacked(&EncodedPrompt::context), {}, {}};
  if (model_.source().family() != ModelFamily::kStableDiffusionXl) return words;
  words.pooled = stacked(&EncodedPrompt::pooled);
  const auto height = static_cast<float>(request.height);
  const auto width = static_cast<float>(request.width);
  const at::Tensor sizes = at::tensor({height, width, 0.0F, 0.0F, height, width}).unsqueeze(0);
  words.time_ids = rows(sizes, words.context.size(0));
  return words;
}

/// The words of one picture for each seed: [N, T, D], or [2N, T, D] with the negative half first.
Conditioning Pipeline::condition(const Request& request, FiniteCheck& finite, Observer& observer) const {
  const auto count = static_cast<int64_t>(request.seeds.size());
  const Conditioning one = words(request, observer);
  Conditioning all{rows(one.context, count), {}, {}};
  finite.look_at_shared(all.context, "text embedding");
  observer.on_stage("context", all.context);
  if (!one.pooled.defined()) return all;
  all.pooled = rows(one.pooled, count);
  all.time_ids = rows(one.time_ids, count);
  finite.look_at_shared(all.pooled, "pooled text embedding");
  observer.on_stage("pooled", all.pooled);
  return all;
}

at::Tensor Pipeline::first_latents(const Request& request, const std::function<at::Tensor()>& noise) const {
  return request.init_latents ? request.init_latents->to(at::kFloat) : noise();
}

Denoiser Pipeline::denoiser(const Request& request, const PreparedWords& words, Observer& observer) const {
  return [this, &request, &words, &observer, first = true](const at::Tensor& latents, double t) mutable {
    const bool guided = request.guidance.active();
    const at::Tensor input = guided ? at::cat({latents, latents}) : latents;
    const at::Tensor timesteps = at::full({input.size(0)}, static_cast<float>(t), at::kFloat);
    at::Tensor prediction = predict(input, timesteps, words);
    if (std::exchange(first, false)) observer.on_stage("unet_out_step0", prediction);
    if (!guided) return NetworkOutput{prediction, prediction};
    const std::vector<at::Tensor> halves = prediction.chunk(2);
    return NetworkOutput{guide(halves[0], halves[1], request.guidance), halves[0]};
  };
}

PreparedWords Pipeline::prepare(const Conditioning& words) const {
  const c10::InferenceMode guard;
  return unet_.prepare(words);
}

at::Tensor Pipeline::predict(const at::Tensor& latents, const at::Tensor& timesteps,
                             const PreparedWords& words) const {
  const c10::InferenceMode guard;
  return unet_(latents.to(dtype_), timesteps, words).to(at::kFloat);
}

PictureResult Pipeline::decode(const Request& request, const at::Tensor& latents) const {
  const c10::InferenceMode guard;
  FiniteCheck finite(1);
  Observer unseen;
  return std::move(decode_all(request, latents, finite, unseen).front());
}

std::vector<PictureResult> Pipeline::decode_all(const Request& request, const at::Tensor& latents,
                                                FiniteCheck& finite, Observer& observer) const {
  at::Tensor decoded = decode_with(vae_, request, latents);
  std::vector<bool> sound = finite_rows(decoded);
  std::optional<AutoencoderKL> exact;  // loaded when a picture needs it
  std::vector<PictureResult> pictures;
  for (size_t i = 0; i < request.seeds.size(); ++i) {
    PictureResult result;
    result.seed = request.seeds[i];
    const auto row = static_cast<int64_t>(i);
    if (!sound[i] && finite.failed_stage(i).empty() && vae_.dtype() != at::kFloat) {
      std::vector<std::string> said_before;
      if (!exact) exact.emplace(open_vae(at::kFloat, said_before));
      decoded.narrow(0, row, 1).copy_(decode_with(*exact, request, latents.narrow(0, row, 1)));
      result.notes.emplace_back("vae_fallback fp32");
    }
    pictures.push_back(std::move(result));
  }
  observer.on_stage("decoded", decoded);
  finite.look(decoded, "decoded picture");
  for (size_t i = 0; i < pictures.size(); ++i) {
    pictures[i].failed_stage = finite.failed_stage(i);
    if (pictures[i].failed_stage.empty()) pictures[i].picture = to_picture(decoded[static_cast<int64_t>(i)]);
  }
  return pictures;
}

at::Tensor Pipeline::decode_with(const AutoencoderKL& vae, const Request& request,
                                 const at::Tensor& latents) const {
  const at::Tensor scaled = vae.from_unet(latents).to(vae.dtype());
  std::vector<at::Tensor> pictures;  // one at a time: the autoencoder needs far more memory than the UNet
  for (int64_t i = 0; i < scaled.size(0); ++i) {
    const at::Tensor one = scaled.narrow(0, i, 1);
    pictures.push_back(request.decode == DecodeMode::kTiled ? vae.decode_tiled(one, vae.default_tile())
                                                            : vae.decode(one));
  }
  return at::cat(pictures).to(at::kFloat);  // [N, 3, H, W]
}

}  // namespace brume
