#include "kernels/cpu/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace brume::kernels::cpu {

// The one file compiled for OpenMP: at::parallel_for lives in headers, and has threads only there.
void parallel(int64_t count, int64_t numbers, const std::function<void(int64_t first, int64_t last)>& work) {
  constexpr int64_t kWorthAThread = int64_t{1} << 15;  // some microseconds
  const int64_t least = std::max<int64_t>(kWorthAThread / std::max<int64_t>(numbers, 1), 1);
  at::parallel_for(0, count, least, work);
}

}  // namespace brume::kernels::cpu
