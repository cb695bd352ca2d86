#pragma once
#include "kernels/element.h"
#include "kernels/group_norm_params.h"

struct CUstream_st;

namespace brume::kernels {

/// Launches what `plan` says, for elements of `element`, in `stream`. Gives the first cudaError_t, 0 for
/// none. Every operand must allow plan.vector (group_norm_access). Blocks that cannot all be resident do not
/// meet but take two passes; a plan without chunks is done already.
int launch_group_norm(const GroupNormParams& params, const GroupNormPlan& plan, Element element,
                      CUstream_st* stream);

}  // namespace brume::kernels
