#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "brume/pipeline/model_config.h"
#include "brume/pipeline/picture_inputs.h"
#include "brume/pipeline/picture_words.h"
#include "brume/pipeline/prompt_encoder.h"
#include "brume/pipeline/recent_prompts.h"
#include "brume/pipeline/request.h"
#include "brume/unet/rows_that_fit.h"
#include "brume/unet/unet.h"
#include "brume/vae/autoencoder.h"
#include "kernels/gpu/gpu.h"

namespace brume {

class FiniteCheck;
class Networks;
class Noise;
template <class Network>
class Streamable;

/// A model ready to draw: the walk from words to pictures.
class Pipeline {
 public:
  /// Loads every component with its weights as `dtype`, onto `gpu` or, where that is null, for the CPU; the
  /// autoencoder stays in fp32 where fp16 would overflow it. Throws kModelInvalid.
  Pipeline(ModelConfig model, at::ScalarType dtype, std::shared_ptr<const kernels::gpu::Gpu> gpu = nullptr);
  ~Pipeline();
  Pipeline(Pipeline&&) noexcept;

  /// Draws request.seeds.size() pictures in one batch. Throws kUsage where the request does not fit the
  /// model.
  Generation generate(const Request& request, Observer& observer) const;
  /// The same for one of several requests that change the same picture: `inputs`, empty for the first, keeps
  /// what all of them begin with.
  Generation generate(const Request& request, Observer& observer, std::optional<PictureInputs>& inputs) const;

  // The parts of that walk, for those who lead many pictures through it at a time (denoising_rows.h). All
  // may be called from several threads.

  /// What the UNet reads of the request's words, in all steps. Throws kInputInvalid beyond the limits of the
  /// prompt language, and for words that are not read as they stand where the request refuses those.
  PictureWords words(const Request& request, Observer& observer) const;
  /// What is drawn from the pictures that the request names. Throws kInputInvalid for a file that cannot be
  /// read, or is not what it was.
  PictureInputs picture_inputs(const Request& request) const;
  /// The same for a request that has pictures, from what read_pixels has read of them.
  PictureInputs picture_inputs(const Request& request, const EditedPixels& pixels) const;
  /// Both of these; texts that `recent` has are not encoded again.
  PictureMaterial material(const Request& request, RecentPrompts& recent) const;
  /// What the walk of each seed begins with, drawn from its own noise in the order of diffusers' pipelines.
  PictureStart start(const Request& request, const PictureInputs& inputs, Noise& noise) const;
  /// What the UNet makes of words once for all steps.
  PreparedWords prepare(const Conditioning& words) const;
  /// What it reads of timesteps beside words of N rows: [timesteps, N, columns].
  at::Tensor times(const std::vector<double>& timesteps, const PreparedWords& words) const;
  /// One call of the UNet in the pipeline's dtype: input [N, in_channels, h, w] fp32 (the latents, and what
  /// the model sees beside them), times [N, columns] and words of N rows -> prediction [N, C, h, w] fp32, on
  /// the GPU where there is one. Does not wait for it. Throws kOutOfMemory where a GPU has no room for a
  /// single row.
  PredictedRows predict(const at::Tensor& input, const at::Tensor& times, const PreparedWords& words) const;
  /// Where the pipeline computes: the same values, in the pipeline's own device.
  at::Tensor placed(const at::Tensor& values) const;
  /// The picture of one seed from its latents [1, C, h, w] fp32; where there is a mask, what it leaves of the
  /// pixels is put back.
  PictureResult decode(const Request& request, const at::Tensor& latents,
                       const PictureInputs& inputs = {}) const;

  const ModelConfig& model() const { return model_; }
  at::ScalarType dtype() const { return placement_.dtype; }
  /// Null: the CPU.
  const kernels::gpu::Gpu* gpu() const { return gpu_.get(); }
  /// What of a request's prompt, or of its negative prompt where there is one, is not read as it stands.
  UnreadWords unread(const Request& request, PromptRole role) const;
  /// Ignored settings and unused weights, a line each.
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  at::ScalarType vae_dtype() const;
  void check(const Request& request) const;
  void check_words() const;
  void wait() const;
  void check_read(const Request& request) const;
  PictureStart start_here(const Request& request, const PictureInputs& inputs, Noise& noise) const;
  PictureWords words(const Request& request, RecentPrompts& recent, Observer& observer) const;
  PictureWords encoded_words(const PromptEncoder& prompts, const Request& request, RecentPrompts& recent,
                             Observer& observer) const;
  Conditioning conditioning(const Request& request, const EncodedPrompt& prompt, PromptRole role) const;
  WordsInTime first_words(const Request& request, FiniteCheck& finite, Observer& observer) const;
  LatentDistribution encode(const Request& request, const at::Tensor& pictures, PictureInputs& inputs) const;
  LatentDistribution encode_with(Streamable<Autoencoder>& vae, const Request& request,
                                 const at::Tensor& pictures, std::vector<std::string>& notes) const;
  at::Tensor drawn_from(const LatentDistribution& encoded, const std::function<at::Tensor()>& normal) const;
  Denoiser denoiser(WordsInTime& words, Observer& observer, std::vector<std::string>& notes) const;
  std::vector<PictureResult> decode_all(const Request& request, const at::Tensor& latents,
                                        const PictureInputs& inputs, FiniteCheck& finite,
                                        Observer& observer) const;
  at::Tensor decode_one(Streamable<Autoencoder>& vae, const Request& request, const at::Tensor& latents,
                        std::vector<std::string>& notes) const;
  Error no_room_for_vae(const Request& request, const std::string& work) const;

  ModelConfig model_;
  std::shared_ptr<const kernels::gpu::Gpu> gpu_;
  Placement placement_;
  std::vector<std::string> remarks_;
  std::unique_ptr<Networks> networks_;  // where they stay when the pipeline moves
};

}  // namespace brume
