#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace brume {

/// The noise of a batch of pictures, one generator a picture, so that no picture depends on its neighbours.
/// Draw for draw what torch.randn gives with torch.Generator("cpu").manual_seed(seed), whatever device the
/// result goes to.
class Noise {
 public:
  /// One picture for each seed.
  explicit Noise(const std::vector<uint64_t>& seeds);

  /// Standard normal fp32 [N, sizes...], picture k drawn as [1, sizes...] from generator k.
  at::Tensor normal(at::IntArrayRef sizes);

 private:
  std::vector<at::Generator> generators_;
};

}  // namespace brume
