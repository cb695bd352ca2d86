#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "brume/base/philox.h"

namespace brume {

/// Whose random numbers a picture's noise is made of.
enum class NoiseKind {
  kCpu,   // torch.Generator("cpu")
  kCuda,  // torch.Generator("cuda"): A1111's default, and stable-diffusion.cpp's
};

/// "cpu", "cuda", or "philox" for the same. Throws kUsage for another name.
NoiseKind noise_kind_from_name(std::string_view name);
/// "cpu" or "cuda".
std::string_view noise_kind_name(NoiseKind kind);

/// The noise of a batch of pictures, one generator a picture, so that no picture depends on its neighbours.
/// Draw for draw what torch.randn gives with torch.Generator(kind).manual_seed(seed), whatever device the
/// result goes to: of the CPU's bit for bit, of CUDA's to the rounding of its logarithm and sine.
class Noise {
 public:
  /// One picture for each seed.
  explicit Noise(const std::vector<uint64_t>& seeds, NoiseKind kind = NoiseKind::kCpu);

  /// Standard normal fp32 [N, sizes...], picture k drawn as [1, sizes...] from generator k.
  at::Tensor normal(at::IntArrayRef sizes);

 private:
  std::vector<std::variant<at::Generator, Philox>> generators_;
};

}  // namespace brume
