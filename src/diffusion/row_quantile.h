#pragma once
#include <ATen/core/Tensor.h>

namespace brume {

/// [N, K] -> [N, 1], between neighbours by their distance, as torch.quantile, which takes 16 million values
/// at most.
at::Tensor row_quantile(const at::Tensor& rows, double q);

}  // namespace brume
