#pragma once
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <filesystem>
#include <string>
#include <vector>

#include "brume/unet/unet.h"
#include "reference_case.h"

namespace brume::testing {

/// What a call of a UNet takes.
struct Given {
  at::Tensor latents;
  at::Tensor times;
  PreparedWords words;
};

struct Shape {
  int64_t rows = 2;
  int64_t height = 6;
  int64_t width = 8;
  int64_t tokens = 7;
};

/// Some calls of a UNet of tests/reference: SD 1's is told words alone, SDXL's sizes and pooled words beside
/// them, a distilled one its guidance scale.
class UNetCalls {
 public:
  explicit UNetCalls(const std::string& model) : unet_(open(reference_path(model) / "unet")) {}

  const UNet& unet() const { return unet_; }

  PreparedWords words(const Shape& shape, uint64_t seed) const {
    at::Generator generator = at::detail::createCPUGenerator(seed);
    const auto normal = [&](at::IntArrayRef sizes) { return at::randn(sizes, generator); };
    const UNetConfig& config = unet_.config();
    Conditioning told;
    told.context = normal({shape.rows, shape.tokens, config.levels.front().context_width});
    if (config.added) {
      const int64_t ids = 6;
      told.time_ids = normal({shape.rows, ids});
      told.pooled = normal({shape.rows, config.added->input_width - ids * config.added->time_id_width});
    }
    if (config.scale_width) told.scale = normal({shape.rows});
    return unet_.prepare(told);
  }

  Given given(const Shape& shape, uint64_t seed) const {
    at::Generator generator = at::detail::createCPUGenerator(seed + 1000);
    const at::Tensor latents =
        at::randn({shape.rows, unet_.config().in_channels, shape.height, shape.width}, generator);
    const at::Tensor timesteps = at::randint(0, 1000, {shape.rows}, generator, at::kFloat);
    const PreparedWords told = words(shape, seed);
    return {latents, times(timesteps, told), told};
  }

  /// A timestep for each row: [N, columns].
  at::Tensor times(const at::Tensor& timesteps, const PreparedWords& words) const {
    const at::Tensor rows = at::arange(timesteps.size(0));
    return unet_.times(timesteps, words).index({rows, rows});
  }

  at::Tensor own_call(const Given& given) const { return unet_(given.latents, given.times, given.words); }

 private:
  static UNet open(const std::filesystem::path& directory) {
    std::vector<std::string> ignored;
    const UNetConfig config = UNetConfig::read(ConfigFile(directory / "config.json"), ignored);
    return {Weights::open(directory, "diffusion_pytorch_model").view(at::kFloat), config};
  }

  UNet unet_;
};

}  // namespace brume::testing
