#include "tests/machine/gpu.h"
#include "kernels/attention_launch.h"
#include "kernels/group_norm_launch.h"
#include "kernels/small_launch.h"

namespace brume::kernels::machine {

namespace {

[[maybe_unused]] const bool kSkips = (skip_without_gpu(), true);

}  // namespace

Report attention(const AttentionParams& params, const AttentionShape& shape, const AttentionPlan& plan,
                 Element element) {
  return finished(launch_attention(params, shape, plan, element, nullptr));
}

std::vector<Report> group_norm(const GroupNormParams& params, const GroupNormPlan& plan, Element element,
                               uint32_t /*schedule*/) {
  return {finished(launch_group_norm(params, plan, element, nullptr))};
}

Report layer_norm(const LayerNormParams& params, Element element) {
  return finished(launch_layer_norm(params, element, nullptr));
}

Report geglu(const GegluParams& params, Element element) {
  return finished(launch_geglu(params, element, nullptr));
}

Report silu(const SiluParams& params, Element element) {
  return finished(launch_silu(params, element, nullptr));
}

Report timestep_embedding(const TimestepEmbeddingParams& params, Element element) {
  return finished(launch_timestep_embedding(params, element, nullptr));
}

Report guided_step(const GuidedStepParams& params, Element element) {
  return finished(launch_guided_step(params, element, nullptr));
}

}  // namespace brume::kernels::machine
