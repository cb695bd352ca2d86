#pragma once
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kernels/attention_hopper_plan.h"
#include "kernels/attention_params.h"
#include "kernels/attention_wide.h"
#include "kernels/device/device.h"
#include "kernels/element.h"
#include "kernels/group_norm_plan.h"
#include "kernels/small_plan.h"

// Where the tests of the kernels run them: on the host body (host_*.cpp), or on a GPU (gpu.cpp), where all
// memory that the tests allocate is the GPU's too (gpu_memory.cpp). Pointers in the parameters must be to
// allocated memory.
namespace brume::kernels::machine {

using device::host::Report;

template <class T>
constexpr Element element_of() {
  if constexpr (std::is_same_v<T, float>) return Element::kFloat;
  return std::is_same_v<T, device::Half> ? Element::kHalf : Element::kBfloat16;
}

Report attention(const AttentionParams& params, const AttentionShape& shape, const AttentionPlan& plan,
                 Element element);
/// `schedule` is the order in which the host body runs what may go on.
Report attention_hopper(const AttentionParams& params, const AttentionShape& shape,
                        const HopperAttentionPlan& plan, Element element, uint32_t schedule);
/// A softmax of each row of scores.
Report softmax_rows(const float* scores, void* weights, int rows, int columns, Element element);
/// wide_attention, its products too.
Report wide_attention(const AttentionParams& params, const WideShape& shape, void* workspace,
                      Element element);
/// A report for each launch.
std::vector<Report> group_norm(const GroupNormParams& params, const GroupNormPlan& plan, Element element,
                               uint32_t schedule);
Report layer_norm(const LayerNormParams& params, Element element);
Report geglu(const GegluParams& params, Element element);
Report silu(const SiluParams& params, Element element);
Report timestep_embedding(const TimestepEmbeddingParams& params, Element element);
Report guided_step(const GuidedStepParams& params, Element element);

}  // namespace brume::kernels::machine
