#pragma once
#include <ATen/ATen.h>

namespace brume {

/// dx / dsigma of the probability flow: the noise that is in x, of unit variance.
inline at::Tensor derivative(const at::Tensor& x, const at::Tensor& denoised, double sigma) {
  return (x - denoised) / sigma;
}

}  // namespace brume
