#include <iostream>

#include "kernels/attention_hopper_launch.h"
#include "kernels/attention_launch.h"
#include "kernels/attention_wide_launch.h"
#include "kernels/group_norm_launch.h"
#include "kernels/small_launch.h"
#include "tests/machine/host_wide.h"
#include "tests/machine/machine.h"

// The launchers on the CPU: what a caller of kernels/entry.h sees where the kernels run on the host body.
namespace brume::kernels {

namespace {

constexpr int kFailed = 1;

int code_of(const device::host::Report& report) {
  for (const std::string& fault : report.faults) std::cerr << fault << '\n';
  return report.faults.empty() ? 0 : kFailed;
}

template <class T>
int launch_wide(const AttentionParams& params, const WideShape& shape, void* workspace) {
  return wide_attention(
      params, shape, workspace,
      {machine::multiply<T>, [](const float* scores, void* weights, int32_t rows, int32_t keys) {
         return code_of(machine::softmax_rows<T>(scores, weights, rows, keys));
       }});
}

}  // namespace

int launch_attention(const AttentionParams& params, const AttentionShape& shape, const AttentionPlan& plan,
                     Element element, CUstream_st*) {
  return code_of(machine::attention(params, shape, plan, element));
}

int launch_attention_hopper(const AttentionParams& params, const AttentionShape& shape,
                            const HopperAttentionPlan& plan, Element element, CUstream_st*) {
  return code_of(machine::attention_hopper(params, shape, plan, element, 0));
}

int launch_wide_attention(const AttentionParams& params, const WideShape& shape, void* workspace,
                          Element element, cublasContext*) {
  return element == Element::kHalf ? launch_wide<device::Half>(params, shape, workspace)
                                   : launch_wide<device::Bfloat16>(params, shape, workspace);
}

int launch_group_norm(const GroupNormParams& params, const GroupNormPlan& plan, Element element,
                      CUstream_st*) {
  int code = 0;
  for (const device::host::Report& report : machine::group_norm(params, plan, element, 0))
    code |= code_of(report);
  return code;
}

int launch_layer_norm(const LayerNormParams& params, Element element, CUstream_st*) {
  return code_of(machine::layer_norm(params, element));
}

int launch_geglu(const GegluParams& params, Element element, CUstream_st*) {
  return code_of(machine::geglu(params, element));
}

int launch_silu(const SiluParams& params, Element element, CUstream_st*) {
  return code_of(machine::silu(params, element));
}

int launch_timestep_embedding(const TimestepEmbeddingParams& params, Element element, CUstream_st*) {
  return code_of(machine::timestep_embedding(params, element));
}

int launch_guided_step(const GuidedStepParams& params, Element element, CUstream_st*) {
  return code_of(machine::guided_step(params, element));
}

}  // namespace brume::kernels
