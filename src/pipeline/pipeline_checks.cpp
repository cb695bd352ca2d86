#include <algorithm>
#include <iomanip>
#include <sstream>

#include "brume/base/error.h"
#include "brume/pipeline/pipeline.h"
#include "memory.h"

// What a pipeline refuses: parts that do not fit together, and requests that do not fit the model or the
// machine.
namespace brume {

namespace {

constexpr double kGibibyte = 1024.0 * 1024.0 * 1024.0;
constexpr int64_t kMostSide = int64_t{1} << 24;  // so that the next product cannot overflow
constexpr int64_t kMostPixels = 100'000'000;

}  // namespace

void Pipeline::check_components() const {
  const UNetConfig& unet = unet_.config();
  const std::string file = (model_.component("unet") / "config.json").string();
  const auto disagree = [&](const std::string& key, int64_t value, const std::string& other) {
    throw Error(ExitCode::kModelInvalid, file, key + ": " + std::to_string(value) + " does not fit " + other);
  };
  const std::string latents = "the autoencoder's " + std::to_string(latent_channels()) + " latent channels";
  if (unet.in_channels > latent_channels() && unet.out_channels == latent_channels()) {
    throw Error(
        ExitCode::kModelInvalid, file,
        "in_channels: " + std::to_string(unet.in_channels) + " makes this an inpainting or editing model",
        "brume generates from words alone; use a text-to-image model");
  }
  if (unet.in_channels != latent_channels()) disagree("in_channels", unet.in_channels, latents);
  if (unet.out_channels != latent_channels()) disagree("out_channels", unet.out_channels, latents);
  for (const UNetLevel& level : unet.levels) {
    if (level.context_width != prompts_.context_width()) {
      disagree("cross_attention_dim", level.context_width,
               "the text encoder's width of " + std::to_string(prompts_.context_width()));
    }
  }
  check_defaults();
  const bool xl = model_.family() == ModelFamily::kStableDiffusionXl;
  if (unet.added.has_value() != xl) {
    throw Error(ExitCode::kModelInvalid, file, "addition_embed_type does not fit the pipeline's class");
  }
  constexpr int64_t kTimeIds = 6;
  if (xl &&
      unet.added->input_width != kTimeIds * unet.added->time_id_width + prompts_.pooled_width().value_or(0)) {
    disagree("projection_class_embeddings_input_dim", unet.added->input_width,
             "six time ids and the pooled words");
  }
}

void Pipeline::check_defaults() const {
  const auto check = [this](const char* key, const std::optional<int64_t>& pixels) {
    if (!pixels || *pixels % factor() == 0) return;
    throw Error(ExitCode::kModelInvalid, model_.defaults_file().string(),
                std::string(key) + ": " + std::to_string(*pixels) + " is not supported",
                "it must be a multiple of the autoencoder's " + std::to_string(factor()));
  };
  check("width", model_.defaults().width);
  check("height", model_.defaults().height);
}

void Pipeline::check(const Request& request) const {
  const auto check_side = [&](const char* option, int64_t pixels) {
    if (pixels > 0 && pixels % factor() == 0) return;
    const int64_t lower = std::max(pixels / factor() * factor(), factor());
    throw Error(ExitCode::kUsage, std::string(option) + " " + std::to_string(pixels),
                "not a multiple of this model's " + std::to_string(factor()),
                "use " + std::to_string(lower) + " or " + std::to_string(lower + factor()));
  };
  if (request.width > kMostSide || request.height > kMostSide || request.width * request.height > kMostPixels)
    throw Error(ExitCode::kUsage, "--width, --height", "more than 100 million pixels", "use a smaller size");
  check_side("--width", request.width);
  check_side("--height", request.height);
  schedule_.timesteps(request.sampling.steps);  // throws where they do not fit
  check_memory(request);
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

void Pipeline::check_memory(const Request& request) const {
  // A step holds the UNet's maps of every picture, guided ones twice. Pictures are decoded one at a time: the
  // decoder's last level holds about four maps of its widest part at the size of the picture, a tile far
  // less.
  const VaeConfig& vae = vae_.config();
  const auto widest = static_cast<double>(vae.channels[std::min<size_t>(1, vae.channels.size() - 1)]);
  const double pixels = static_cast<double>(request.width) * static_cast<double>(request.height);
  const auto pictures = static_cast<double>(request.seeds.size());
  const double guided = request.guidance.active() ? 2 : 1;
  const double step = guided * pictures * static_cast<double>(c10::elementSize(dtype_)) *
                      unet_.config().activation_values(request.height / factor(), request.width / factor());
  const double maps = request.decode == DecodeMode::kTiled ? vae.picture_channels : widest;
  const double decoding = 4 * maps * pixels * static_cast<double>(c10::elementSize(vae_.dtype())) +
                          pictures * vae.picture_channels * pixels * sizeof(float);
  const std::optional<double> free = available_memory();
  if (!free || std::max(step, decoding) < *free) return;
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << (step > decoding ? "a step" : "decoding") << " needs about "
       << std::max(step, decoding) / kGibibyte << " GiB, " << *free / kGibibyte << " GiB are free";
  const bool tiling_helps = decoding > step && request.decode == DecodeMode::kWhole;
  const std::string smaller = pictures > 1 ? "a smaller size or --batch-size" : "a smaller size";
  throw Error(ExitCode::kOutOfMemory, "--width, --height", text.str(),
              (tiling_helps ? "use --vae-tiling or " : "use ") + smaller);
}

}  // namespace brume
