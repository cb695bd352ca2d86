#include "brume/nn/conv2d.h"

#include <ATen/ATen.h>

namespace brume::nn {

Conv2d::Conv2d(const WeightsView& weights, const ConvShape& shape)
    : shape_(shape),
      weight_(weights.tensor("weight", {shape.out, shape.in, shape.kernel, shape.kernel})),
      bias_(weights.tensor("bias", {shape.out})) {}

at::Tensor Conv2d::operator()(const at::Tensor& x) const {
  return at::conv2d(x, weight_, bias_, {shape_.stride, shape_.stride}, {shape_.padding, shape_.padding});
}

}  // namespace brume::nn
