#include "kernels/attention_hopper_launch.h"
#include "tests/machine/gpu.h"

namespace brume::kernels::machine {

namespace {

[[maybe_unused]] const bool kSkips = (skip_without_gpu_of(90), true);

}  // namespace

Report attention_hopper(const AttentionParams& params, const AttentionShape& shape,
                        const HopperAttentionPlan& plan, Element element, uint32_t /*schedule*/) {
  return finished(launch_attention_hopper(params, shape, plan, element, nullptr));
}

}  // namespace brume::kernels::machine
