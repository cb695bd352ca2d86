#pragma once
#include <c10/core/ScalarType.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "brume/diffusion/noise_schedule.h"
#include "brume/pipeline/model_source.h"
#include "brume/pipeline/model_task.h"
#include "brume/pipeline/picture_settings.h"
#include "brume/pipeline/request.h"
#include "brume/unet/unet_config.h"
#include "brume/vae/vae_config.h"
#include "brume/weights/adapters/adapters.h"

namespace brume {

class Embeddings;

/// What a model says of itself, its weights not yet looked at: enough to resolve and to judge a request.
class ModelConfig {
 public:
  /// Reads the configurations of a model directory or a checkpoint of one file. Throws kModelInvalid.
  explicit ModelConfig(const std::filesystem::path& path, const ModelChoices& choices = {});

  const ModelSource& source() const { return *source_; }
  /// Has adapters merged into the weights when they are loaded, in place of those of an earlier call.
  void adapt(std::shared_ptr<const Adapters> adapters);
  /// Null where there are none.
  const Adapters* adapters() const { return adapters_.get(); }
  /// Has words of prompts stand for vectors of their own.
  void embed(std::shared_ptr<const Embeddings> embeddings) { embeddings_ = std::move(embeddings); }
  /// Null where there are none.
  const std::shared_ptr<const Embeddings>& embeddings() const { return embeddings_; }
  const UNetConfig& unet() const { return unet_; }
  const VaeConfig& vae() const { return vae_; }
  const NoiseSchedule& schedule() const { return schedule_; }
  ModelTask task() const { return task_; }
  /// Settings that nothing reads, a line each.
  const std::vector<std::string>& remarks() const { return remarks_; }

  /// Pixels per latent; widths and heights are multiples of it.
  int64_t factor() const { return vae_.factor(); }
  int64_t latent_channels() const { return vae_.latent_channels; }
  /// Of one picture's latents: C, h, w.
  std::array<int64_t, 3> latent_sizes(const Request& request) const;
  /// About how many multiply-adds one denoising step of one picture of this size takes.
  double step_work(int64_t width, int64_t height) const;
  /// In fp16 some autoencoders overflow, as their authors say: those stay in fp32.
  at::ScalarType vae_dtype(at::ScalarType dtype) const;

  /// The request of pictures with these seeds, with the model's own choices where nothing was said. The seed
  /// of `settings` is not looked at. Throws kUsage for a sampler that brume does not have, kInputInvalid for
  /// what `strict` settings refuse.
  Request resolve(const PictureSettings& settings, std::vector<uint64_t> seeds) const;
  /// Whether the layer that was asked for is not looked at: A1111 takes SDXL's own.
  bool ignores_clip_skip(const PictureSettings& settings) const;
  /// Throws kUsage where the request does not fit the model, kOutOfMemory where it does not fit the machine.
  void check(const Request& request, at::ScalarType dtype) const;
  /// The first half of it, which is the same on every machine and at any time.
  void check_fit(const Request& request) const;
  /// Throws kUsage where the request lacks a picture that the model's task needs, or has one that the
  /// autoencoder cannot read.
  void check_pictures(const Request& request) const;
  /// The other half.
  void check_memory(const Request& request, at::ScalarType dtype) const;
  /// As if `free` bytes were available; nothing: nobody knows.
  void check_memory(const Request& request, at::ScalarType dtype, const std::optional<double>& free) const;
  /// As if what needs no more memory than that were drawn: row after row, decoded by tiles.
  void check_least_memory(const Request& request, at::ScalarType dtype, double free) const;
  /// Bytes that a step of one row of the UNet needs, of latents [C, height, width].
  double row_bytes(int64_t height, int64_t width, at::ScalarType dtype) const;
  /// Bytes that a step of the pictures of a request needs, beside the weights.
  double step_bytes(const Request& request, at::ScalarType dtype) const;
  /// Bytes that decoding them needs: one at a time, and all of them as they come out.
  double decode_bytes(const Request& request, at::ScalarType dtype) const;

 private:
  ModelTask own_task(const ModelChoices& choices) const;
  void check_own() const;

  std::shared_ptr<const ModelSource> plain_;  // without adapters
  std::shared_ptr<const ModelSource> source_;
  std::shared_ptr<const Adapters> adapters_;
  std::shared_ptr<const Embeddings> embeddings_;
  std::vector<std::string> remarks_;
  UNetConfig unet_;
  VaeConfig vae_;
  NoiseSchedule schedule_;
  ModelTask task_;
};

}  // namespace brume
