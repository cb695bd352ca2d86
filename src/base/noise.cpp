#include "brume/base/noise.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <span>
#include <string>

#include "brume/base/error.h"

namespace brume {

namespace {

at::Tensor draw(at::Generator& generator, at::IntArrayRef sizes) {
  return at::randn(sizes, generator, at::TensorOptions(at::kFloat));
}

at::Tensor draw(Philox& generator, at::IntArrayRef sizes) {
  at::Tensor values = at::empty(sizes, at::TensorOptions(at::kFloat));
  generator.normal({values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values;
}

}  // namespace

NoiseKind noise_kind_from_name(std::string_view name) {
  if (name == "cpu") return NoiseKind::kCpu;
  if (name == "cuda" || name == "philox") return NoiseKind::kCuda;
  throw Error(ExitCode::kUsage, "--rng " + std::string(name.substr(0, 40)), "unknown",
              "use cpu, cuda or philox");
}

std::string_view noise_kind_name(NoiseKind kind) { return kind == NoiseKind::kCpu ? "cpu" : "cuda"; }

Noise::Noise(const std::vector<uint64_t>& seeds, NoiseKind kind) {
  generators_.reserve(seeds.size());
  for (const uint64_t seed : seeds) {
    if (kind == NoiseKind::kCpu)
      generators_.emplace_back(at::detail::createCPUGenerator(seed));
    else
      generators_.emplace_back(Philox(seed));
  }
}

at::Tensor Noise::normal(at::IntArrayRef sizes) {
  std::vector<int64_t> one_picture{1};
  one_picture.insert(one_picture.end(), sizes.begin(), sizes.end());
  std::vector<at::Tensor> pictures;
  pictures.reserve(generators_.size());
  for (auto& generator : generators_)
    pictures.push_back(std::visit([&](auto& one) { return draw(one, one_picture); }, generator));
  return at::cat(pictures);
}

}  // namespace brume
