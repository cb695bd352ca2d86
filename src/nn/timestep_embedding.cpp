#include "brume/nn/timestep_embedding.h"

#include "kernels/silu.h"

namespace brume::nn {

TimestepEmbedding::TimestepEmbedding(const WeightsView& weights, int64_t in, int64_t width)
    : linear1_(weights / "linear_1", in, width), linear2_(weights / "linear_2", width, width) {}

at::Tensor TimestepEmbedding::operator()(const at::Tensor& x) const {
  return linear2_(kernels::silu(linear1_(x)));
}

}  // namespace brume::nn
