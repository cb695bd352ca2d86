#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "brume/weights/weights.h"
#include "kernels/packed.h"

namespace brume::nn {

/// Columns of what TimeProjections gives.
struct TimeColumns {
  int64_t first;
  int64_t count;

  /// times [N, all] -> [N, count], which shares its memory.
  at::Tensor of(const at::Tensor& times) const { return times.narrow(1, first, count); }
};

/// The layers by which the residual blocks of a network read the time embedding (time_emb_proj), in one
/// product: each alone is too small to fill a machine.
class TimeProjections {
 public:
  /// Of an embedding of this width.
  explicit TimeProjections(int64_t width) : width_(width) {}
  /// Takes in one block's layer.
  TimeColumns add(const WeightsView& weights, int64_t out);
  /// All blocks have theirs. To be called once, before the first product.
  void close();
  /// time [..., width] after its SiLU -> [..., all columns]
  at::Tensor operator()(const at::Tensor& time) const { return (*product_)(time); }

 private:
  int64_t width_;
  int64_t columns_ = 0;
  std::vector<at::Tensor> weights_;  // [out, width], until they are one
  std::vector<at::Tensor> biases_;   // [out]
  HostCopy host_copy_;               // as theirs
  std::optional<kernels::PackedLinear> product_;
};

}  // namespace brume::nn
