#pragma once
// What sm_90a adds to the vocabulary: barriers in shared memory that copies complete (mbarrier), tensor
// copies (TMA), and matrix products of a warp group (wgmma). Two bodies, as device.h has.
#include "kernels/device/device.h"
#include "kernels/device/hopper_layout.h"

#if defined(__CUDACC__)
#include "kernels/device/hopper_ptx.h"
#else
#include "kernels/device/host/hopper.h"
#endif
