#pragma once
#include <ATen/ATen.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "brume/base/placement.h"
#include "brume/weights/real_type.h"
#include "brume/weights/safetensors.h"
#include "brume/weights/weights.h"

namespace brume {

/// All that weights may be stored as.
constexpr std::array kStoredTypes{at::kDouble,          at::kFloat,          at::kHalf,
                                  at::kBFloat16,        at::kFloat8_e5m2,    at::kFloat8_e4m3fn,
                                  at::kFloat8_e4m3fnuz, at::kFloat8_e5m2fnuz};

/// `values` must outlive it.
inline TensorToWrite stored_entry(const std::string& name, const at::Tensor& values) {
  const auto sizes = values.sizes();
  return {name,
          stored_type_of(values.scalar_type()),
          {sizes.begin(), sizes.end()},
          {static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()}};
}

/// A file of tensors of several sizes, of numbers that fp16 and bf16 round, as overflow and underflow them,
/// and as are not finite.
class HardWeights {
 public:
  HardWeights(const std::filesystem::path& file, at::ScalarType stored)
      : file_(written(file, stored)), weights_(Weights::open_file(file_)) {}

  /// All of them.
  std::vector<at::Tensor> read(const Placement& placement,
                               const std::shared_ptr<TensorLoader>& loader) const {
    const WeightsView view = weights_.view(placement, loader);
    std::vector<at::Tensor> tensors;
    for (size_t i = 0; i < shapes().size(); ++i)
      tensors.push_back(view.tensor("t" + std::to_string(i), shapes()[i]));
    return tensors;
  }

 private:
  static const std::vector<std::vector<int64_t>>& shapes() {
    static const std::vector<std::vector<int64_t>> all{{},      {0, 3}, {1},         {7},
                                                       {33, 5}, {1024}, {257, 3, 3}, {2}};
    return all;
  }

  static at::Tensor values(at::IntArrayRef shape) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    constexpr std::array kSome{65504.0, 65519.9, 65520.0, 70000.0,   1e39,
                               1e-8,    0.0,     1e-40,   kInfinity, 1.00048828125};
    at::Tensor all = at::randn(shape, at::kDouble);
    at::Tensor flat = all.view({-1});
    for (int64_t i = 0; i < flat.numel(); i += 3)
      flat[i] = kSome[static_cast<size_t>(i / 3) % kSome.size()] * (i % 2 == 0 ? 1 : -1);
    return all;
  }

  static std::filesystem::path written(const std::filesystem::path& file, at::ScalarType stored) {
    std::vector<at::Tensor> sources;
    std::vector<TensorToWrite> entries;
    for (const std::vector<int64_t>& shape : shapes()) sources.push_back(values(shape).to(stored));
    for (size_t i = 0; i < sources.size(); ++i)
      entries.push_back(stored_entry("t" + std::to_string(i), sources[i]));
    write_safetensors(file, std::move(entries), {});
    return file;
  }

  std::filesystem::path file_;
  Weights weights_;
};

/// Without the bits of what is no number, of which ATen itself writes several.
inline std::vector<std::byte> bits(const at::Tensor& values) {
  const at::Tensor numbers = at::where(values.isnan(), at::zeros_like(values), values);
  const auto* const first = static_cast<const std::byte*>(numbers.const_data_ptr());
  return {first, first + numbers.nbytes()};
}

/// Whether they are alike but for the device, and contiguous.
inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor here = a.cpu();
  return here.scalar_type() == b.scalar_type() && here.sizes() == b.sizes() && a.is_contiguous() &&
         b.is_contiguous() && here.isnan().equal(b.isnan()) && bits(here) == bits(b);
}

inline bool same_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace brume
