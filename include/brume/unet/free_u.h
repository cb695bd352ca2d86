#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "brume/unet/row_change.h"

namespace brume {

/// What FreeU does before the residual blocks of one block of the up path, each row by its own factors.
/// Mirrors apply_freeu and fourier_filter of diffusers.
class FreeUStage {
 public:
  /// Of up block `stage`, 0 or 1; nothing where no row wants it. Rows without are left as they are.
  static std::optional<FreeUStage> of(const std::vector<RowChange>& rows, size_t stage);

  /// The first half of the channels, stronger. x [N, C, H, W] -> the same
  at::Tensor backbone(const at::Tensor& x) const;
  /// The lowest frequencies, weaker. x [N, C, H, W] -> the same
  at::Tensor skip(const at::Tensor& x) const;

 private:
  FreeUStage(const std::vector<float>& backbone, const std::vector<float>& skip);

  at::Tensor backbone_;  // [N, 1, 1, 1] fp32
  at::Tensor skip_;      // [N, 1, 1] fp32
};

}  // namespace brume
