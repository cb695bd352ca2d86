#pragma once
#include <string>

#include "tests/machine/machine.h"

namespace brume::kernels::machine {

/// What became of a launch with this CUDA error code, once it is done.
Report finished(int launched);

/// Why the tests cannot run here; empty if they can. `capability` is 90 for 9.0, and 0 for any.
std::string missing_gpu(int capability);

/// Without the GPU the tests are skipped, with the reason, or fail where one is required (preset gpu).
void skip_without_gpu(int capability);

}  // namespace brume::kernels::machine
