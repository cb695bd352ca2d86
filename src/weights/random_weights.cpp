#include <ATen/ATen.h>
#include <c10/util/accumulate.h>

#include <cmath>
#include <string>
#include <string_view>

#include "brume/base/noise.h"
#include "weights_store.h"

namespace brume {

namespace {

/// FNV-1a: the same number for a name wherever it is computed, which std::hash does not promise.
uint64_t number_of(std::string_view name) {
  constexpr uint64_t kBasis = 14695981039346656037U;
  constexpr uint64_t kPrime = 1099511628211U;
  uint64_t hash = kBasis;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * kPrime;
  return hash;
}

/// Normal numbers of a name. Large tensors repeat theirs: drawing billions takes minutes, and no benchmark
/// sees it.
at::Tensor normal_numbers(const std::string& name, at::IntArrayRef shape) {
  constexpr int64_t kMostDrawn = 1048573;  // a prime, so that no row of a matrix is another's copy
  Noise noise({number_of(name)});
  const int64_t count = c10::multiply_integers(shape);
  if (count <= kMostDrawn) return noise.normal(shape)[0];
  const at::Tensor drawn = noise.normal({kMostDrawn})[0];
  return drawn.repeat({(count + kMostDrawn - 1) / kMostDrawn}).narrow(0, 0, count).view(shape);
}

class RandomStore : public Weights::Store {
 public:
  explicit RandomStore(std::string_view part)
      : Store("random weights of " + std::string(part)), part_(part) {}

  std::optional<at::Tensor> find(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype,
                                 TensorLoader* /*loader*/) override {
    // A norm's scale is one, and every bias nothing; a matrix or a kernel keeps the variance of what it
    // reads.
    if (shape.size() < 2) {
      const double value = name.ends_with("bias") ? 0 : 1;
      return at::full(shape, value, at::TensorOptions(dtype));
    }
    at::Tensor values = normal_numbers(part_ + ":" + name, shape);
    const int64_t fan_in = values.numel() / values.size(0);
    return values.div_(std::sqrt(static_cast<double>(fan_in))).to(dtype).contiguous();
  }

  bool contains(const std::string& /*name*/) const override { return true; }
  std::vector<int64_t> shape(const std::string& name) const override { missing(name); }
  at::ScalarType stored_dtype(const std::string& name) const override { missing(name); }
  std::vector<std::string> names() const override { return {}; }
  std::vector<std::string> unused() const override { return {}; }
  std::vector<std::filesystem::path> files() const override { return {}; }

 private:
  std::string part_;
};

}  // namespace

Weights Weights::random(std::string_view part) { return Weights(std::make_shared<RandomStore>(part)); }

}  // namespace brume
