#include "brume/unet/free_u.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "brume/nn/pixels.h"

namespace brume {

namespace {

/// The frequencies of an axis that count as low: 0 and the one before it, where there are two.
std::vector<int64_t> low_frequencies(int64_t size) {
  return size > 1 ? std::vector<int64_t>{0, -1} : std::vector<int64_t>{0};
}

/// Cosine and sine waves of the low frequencies of a map, a row each, of unit length: multiplied with a map's
/// pixels and spread over them again they give what the real part of the inverse transform has of these.
at::Tensor low_waves(int64_t height, int64_t width) {
  const auto options = at::TensorOptions(at::kDouble);
  const at::Tensor y = at::arange(height, options).unsqueeze(1) / static_cast<double>(height);  // [H, 1]
  const at::Tensor x = at::arange(width, options).unsqueeze(0) / static_cast<double>(width);    // [1, W]
  std::vector<at::Tensor> waves;
  for (const int64_t vertical : low_frequencies(height)) {
    for (const int64_t horizontal : low_frequencies(width)) {
      const at::Tensor turn = 2 * std::numbers::pi * (vertical * y + horizontal * x);  // [H, W]
      waves.push_back(turn.cos().flatten());
      waves.push_back(turn.sin().flatten());
    }
  }
  const double length = std::sqrt(static_cast<double>(height * width));
  return (at::stack(waves) / length).to(at::kFloat);  // [K, H W]
}

}  // namespace

FreeUStage::FreeUStage(const std::vector<float>& backbone, const std::vector<float>& skip)
    : backbone_(at::tensor(backbone).view({-1, 1, 1, 1})), skip_(at::tensor(skip).view({-1, 1, 1})) {}

std::optional<FreeUStage> FreeUStage::of(const std::vector<RowChange>& rows, size_t stage) {
  std::vector<float> backbone;
  std::vector<float> skip;
  bool any = false;
  for (const RowChange& row : rows) {
    any = any || row.free_u;
    backbone.push_back(row.free_u ? static_cast<float>(row.free_u->backbone.at(stage)) : 1);
    skip.push_back(row.free_u ? static_cast<float>(row.free_u->skip.at(stage)) : 1);
  }
  if (!any) return std::nullopt;
  return FreeUStage(backbone, skip);
}

at::Tensor FreeUStage::backbone(const at::Tensor& x) const {
  at::Tensor stronger = x.clone(at::MemoryFormat::ChannelsLast);
  at::Tensor half = stronger.narrow(1, 0, x.size(1) / 2);
  half.mul_(backbone_.to(x.device()));
  return stronger;
}

at::Tensor FreeUStage::skip(const at::Tensor& x) const {
  const at::Tensor waves = low_waves(x.size(2), x.size(3)).to(x.device());  // [K, H W]
  const at::Tensor pixels = nn::pixels_of(x).to(at::kFloat);                // [N, H W, C]
  const at::Tensor low = at::matmul(waves.t(), at::matmul(waves, pixels));
  return nn::map_of((pixels + (skip_.to(x.device()) - 1) * low).to(x.scalar_type()), x.size(2), x.size(3));
}

}  // namespace brume
