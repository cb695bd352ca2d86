#include "brume/base/noise.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

namespace brume {

Noise::Noise(const std::vector<uint64_t>& seeds) {
  for (const uint64_t seed : seeds) generators_.push_back(at::detail::createCPUGenerator(seed));
}

at::Tensor Noise::normal(at::IntArrayRef sizes) {
  std::vector<int64_t> one_picture{1};
  one_picture.insert(one_picture.end(), sizes.begin(), sizes.end());
  std::vector<at::Tensor> pictures;
  for (const at::Generator& generator : generators_) {
    pictures.push_back(at::randn(one_picture, generator, at::TensorOptions(at::kFloat)));
  }
  return at::cat(pictures);
}

}  // namespace brume
