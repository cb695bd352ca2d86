#pragma once
// The vocabulary that our kernels are written in. nvcc compiles its PTX body; any C++ compiler compiles its
// host body, which runs a grid on the CPU and watches every access (host/grid.h). Kernels include this header
// and nothing else of the two.
#include "kernels/device/number.h"

#if defined(__CUDACC__)
#include "kernels/device/ptx.h"
#else
#include "kernels/device/host/host.h"
#endif
