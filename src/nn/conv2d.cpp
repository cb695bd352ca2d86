#include "brume/nn/conv2d.h"

namespace brume::nn {

Conv2d::Conv2d(const WeightsView& weights, const ConvShape& shape)
    : convolution_(weights.tensor("weight", {shape.out, shape.in, shape.kernel, shape.kernel}),
                   weights.tensor("bias", {shape.out}), {shape.stride, shape.padding}) {}

}  // namespace brume::nn
