#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include <string>
#include <vector>

#include "brume/diffusion/noise_schedule.h"
#include "brume/pipeline/model_directory.h"
#include "brume/pipeline/prompt_encoder.h"
#include "brume/pipeline/request.h"
#include "brume/unet/unet.h"
#include "brume/vae/autoencoder_kl.h"

namespace brume {

class FiniteCheck;

/// A model ready to draw: the walk from words to pictures.
class Pipeline {
 public:
  /// Loads every component with its weights as `dtype`; the autoencoder stays in fp32 where fp16 would
  /// overflow it. Throws kModelInvalid.
  Pipeline(ModelDirectory model, at::ScalarType dtype);

  /// Draws request.seeds.size() pictures in one batch. Throws kUsage where the request does not fit the
  /// model.
  Generation generate(const Request& request, Observer& observer) const;

  const ModelDirectory& model() const { return model_; }
  at::ScalarType dtype() const { return dtype_; }
  /// Pixels per latent; widths and heights are multiples of it.
  int64_t factor() const { return vae_.config().factor(); }
  int64_t latent_channels() const { return vae_.config().latent_channels; }
  /// The size the model was trained at.
  int64_t default_width() const;
  int64_t default_height() const;
  /// About how many multiply-adds one denoising step of one picture of this size takes.
  double step_work(int64_t width, int64_t height) const;
  const NoiseSchedule& schedule() const { return schedule_; }
  /// Tokens of a prompt that do not fit the model and are not seen by it.
  int64_t tokens_cut(const std::string& prompt) const { return prompts_.tokens_cut(prompt); }
  /// Ignored settings and unused weights, a line each.
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  void check_components() const;
  void check_defaults() const;
  void check_request(const Request& request) const;
  void check_memory(const Request& request) const;
  Conditioning condition(const Request& request, FiniteCheck& finite, Observer& observer) const;
  at::Tensor first_latents(const Request& request, const std::function<at::Tensor()>& noise) const;
  Denoiser denoiser(const Request& request, const Conditioning& conditioning, Observer& observer) const;
  std::vector<PictureResult> decode(const Request& request, const at::Tensor& latents, FiniteCheck& finite,
                                    Observer& observer) const;
  at::Tensor decode_with(const AutoencoderKL& vae, const Request& request, const at::Tensor& latents) const;

  ModelDirectory model_;
  at::ScalarType dtype_;
  std::vector<std::string> remarks_;
  PromptEncoder prompts_;
  UNet unet_;
  AutoencoderKL vae_;
  NoiseSchedule schedule_;
};

}  // namespace brume
