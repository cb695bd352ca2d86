#include "brume/diffusion/masking.h"

#include <ATen/ATen.h>

namespace brume {

at::Tensor KeptPart::around(const at::Tensor& x, double signal, double deviation) const {
  return at::where(mask, x, signal * picture + deviation * noise);
}

at::Tensor KeptPart::around(const at::Tensor& x) const { return at::where(mask, x, picture); }

}  // namespace brume
