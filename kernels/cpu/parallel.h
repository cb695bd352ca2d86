#pragma once
#include <cstdint>
#include <functional>

namespace brume::kernels::cpu {

/// Shares the tasks 0 .. count among libtorch's threads: each calls work(first, last) once. `numbers` are
/// what one task reads or computes, about: too few of them are not worth another thread.
void parallel(int64_t count, int64_t numbers, const std::function<void(int64_t first, int64_t last)>& work);

}  // namespace brume::kernels::cpu
