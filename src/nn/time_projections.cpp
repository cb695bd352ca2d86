#include "brume/nn/time_projections.h"

#include <ATen/ATen.h>

#include <utility>

namespace brume::nn {

TimeColumns TimeProjections::add(const WeightsView& weights, int64_t out) {
  weights_.push_back(weights.tensor("weight", {out, width_}));
  biases_.push_back(weights.tensor("bias", {out}));
  host_copy_ = weights.host_copy();
  return {std::exchange(columns_, columns_ + out), out};
}

void TimeProjections::close() {
  product_.emplace(at::cat(weights_), at::cat(biases_), host_copy_);
  weights_.clear();
  biases_.clear();
  host_copy_ = nullptr;
}

}  // namespace brume::nn
