#include "kernels/silu.h"

#include <ATen/ATen.h>

namespace brume::kernels {

at::Tensor silu(const at::Tensor& x) { return at::silu(x); }

}  // namespace brume::kernels
