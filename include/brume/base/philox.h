#pragma once
#include <cstdint>
#include <span>

namespace brume {

/// The normals of PyTorch's CUDA generator: Philox 4x32-10 ("Parallel Random Numbers: As Easy as 1, 2, 3",
/// Salmon et al. 2011) with the seed as its key, and the first normal of cuRAND's Box-Muller for the counter
/// (offset, 0, element, 0). That is what torch.randn draws on a GPU as long as each element has a thread of
/// its own, which pictures of up to about 100,000 latent values have; larger ones go on by the same rule, as
/// A1111's rng_philox.py and stable-diffusion.cpp's --rng cuda do.
class Philox {
 public:
  explicit Philox(uint64_t seed) : seed_(seed) {}

  /// Fills `values` by the next draw.
  void normal(std::span<float> values);

 private:
  uint64_t seed_;
  uint32_t offset_ = 0;  // draws so far
};

}  // namespace brume
