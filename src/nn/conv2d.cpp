#include "brume/nn/conv2d.h"

#include <optional>

namespace brume::nn {

Conv2d::Conv2d(const WeightsView& weights, const ConvShape& shape, Bias bias)
    : convolution_(weights.tensor("weight", {shape.out, shape.in, shape.kernel, shape.kernel}),
                   bias == Bias::kYes ? std::optional(weights.tensor("bias", {shape.out})) : std::nullopt,
                   {shape.stride, shape.padding}, weights.host_copy()) {}

}  // namespace brume::nn
