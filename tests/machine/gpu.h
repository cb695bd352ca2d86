#pragma once
#include "tests/machine/machine.h"

namespace brume::kernels::machine {

/// What became of a launch with this CUDA error code, once it is done.
Report finished(int launched);

/// Without a GPU the tests are skipped, with the reason, or fail where one is required (preset gpu).
void skip_without_gpu();

/// As skip_without_gpu, for a kernel that one generation alone has: 90 is compute capability 9.0. A GPU of
/// another generation is no fault of the machine, so there the tests are skipped in any case.
void skip_without_gpu_of(int capability);

}  // namespace brume::kernels::machine
