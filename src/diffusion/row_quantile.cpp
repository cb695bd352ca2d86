#include "row_quantile.h"

#include <ATen/ATen.h>

#include <cmath>

namespace brume {

at::Tensor row_quantile(const at::Tensor& rows, double q) {
  const at::Tensor sorted = std::get<0>(rows.sort(1));
  const auto rank = static_cast<float>(q) * static_cast<float>(rows.size(1) - 1);
  const auto below = static_cast<int64_t>(rank);
  const auto above = static_cast<int64_t>(std::ceil(rank));
  return at::lerp(sorted.narrow(1, below, 1), sorted.narrow(1, above, 1), rank - static_cast<float>(below));
}

}  // namespace brume
