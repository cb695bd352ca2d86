#include "kernels/entry.h"

#include <cstdio>
#include <optional>

#include "kernels/attention_hopper_launch.h"
#include "kernels/attention_launch.h"
#include "kernels/entry_params.h"
#include "kernels/group_norm_launch.h"
#include "kernels/group_norm_plan.h"

namespace {

using namespace brume::kernels;

AttentionShape shape_of(const BrumeAttention& call) {
  return {call.batch, call.heads, call.queries, call.keys, call.head_dim};
}

GpuLimits limits_of(const BrumeGpu& gpu) {
  return {gpu.multiprocessors, gpu.shared_bytes_a_block, gpu.shared_bytes_a_multiprocessor};
}

ComputeCapability capability_of(const BrumeGpu& gpu) { return {gpu.capability / 10, gpu.capability % 10}; }

/// Whether the sizes mean a map that some kernel takes.
bool fits(const BrumeGroupNorm& call) {
  return is_element(call.element) && call.pictures >= 0 && call.pixels >= 0 && call.channels >= 0 &&
         call.groups > 0 && call.channels % call.groups == 0 && call.second_channels >= 0 &&
         call.second_channels <= call.channels;
}

/// Whether everything that will be read or written is there; all but an embedding must be.
bool has_operands(const BrumeGroupNorm& call) {
  const auto& [x, second, embedding, weight, bias, y] = call.pointers;
  return (x != nullptr || call.second_channels == call.channels) &&
         (second != nullptr || call.second_channels == 0) && weight != nullptr && bias != nullptr &&
         y != nullptr && call.workspace != nullptr;
}

/// Tensors that lie tight.
GroupNormParams params_of(const BrumeGroupNorm& call) {
  const auto part = [&](const void* data, int32_t channels) -> GroupNormPart {
    return {data, channels, channels, int64_t{call.pixels} * channels};
  };
  GroupNormParams params{};
  params.shape = {call.pictures, call.pixels, call.channels, call.groups};
  params.parts[0] = part(call.pointers[0], call.channels - call.second_channels);
  params.parts[1] = part(call.pointers[1], call.second_channels);
  params.embedding = call.pointers[2];
  params.embedding_stride = call.channels;
  params.weight = call.pointers[3];
  params.bias = call.pointers[4];
  params.y = const_cast<void*>(call.pointers[5]);
  params.y_pixel_stride = call.channels;
  params.y_picture_stride = int64_t{call.pixels} * call.channels;
  params.workspace = call.workspace;
  params.eps = call.eps;
  params.activation = call.silu != 0 ? NormActivation::kSilu : NormActivation::kNone;
  return params;
}

GroupNormPlan plan_of(const BrumeGroupNorm& call, const BrumeGpu& gpu) {
  const GroupNormParams params = params_of(call);
  const int bytes = bytes_of(static_cast<Element>(call.element));
  return plan_group_norm(params.shape, group_norm_access(params, bytes), bytes,
                         {gpu.multiprocessors, gpu.shared_bytes_a_block, gpu.l2_bytes});
}

}  // namespace

int brume_attention(const BrumeAttention* call, const BrumeGpu* gpu, void* stream) {
  if (!is_half_element(call->element)) return kNoKernel;
  const AttentionShape shape = shape_of(*call);
  const AttentionParams params = params_of(*call);
  const auto element = static_cast<Element>(call->element);
  auto* const where = static_cast<CUstream_st*>(stream);
  if (const auto hopper = plan_attention_hopper(shape, limits_of(*gpu), capability_of(*gpu))) {
    // cudaErrorInvalidValue: the driver refuses a tensor map, which the other kernel does without.
    constexpr int kInvalidValue = 1;
    const int error = launch_attention_hopper(params, shape, *hopper, element, where);
    if (error != kInvalidValue) return error;
  }
  const std::optional<AttentionPlan> plan = plan_attention(shape, limits_of(*gpu));
  return plan ? launch_attention(params, shape, *plan, element, where) : kNoKernel;
}

int brume_attention_plan(const BrumeAttention* call, const BrumeGpu* gpu, char* text, int32_t size) {
  if (!is_half_element(call->element)) return kNoKernel;
  if (const auto hopper = plan_attention_hopper(shape_of(*call), limits_of(*gpu), capability_of(*gpu))) {
    std::snprintf(text, static_cast<size_t>(size), "hopper %dx%d, %d blocks a head, %d KiB",
                  hopper->tile_queries, hopper->tile_keys, hopper->blocks, hopper->shared_bytes / 1024);
    return 0;
  }
  const std::optional<AttentionPlan> plan = plan_attention(shape_of(*call), limits_of(*gpu));
  if (!plan) return kNoKernel;
  const char* const kind = plan->kind == AttentionKind::kResident ? "resident" : "streamed";
  std::snprintf(text, static_cast<size_t>(size), "%s %dx%d, %d blocks a head, %d KiB", kind,
                plan->tile_queries(), plan->tile_keys, plan->blocks, plan->shared_bytes / 1024);
  return 0;
}

int brume_group_norm(const BrumeGroupNorm* call, const BrumeGpu* gpu, void* stream) {
  if (!fits(*call)) return kNoKernel;
  const GroupNormPlan plan = plan_of(*call, *gpu);
  if (plan.chunks == 0) return 0;  // no elements, which may lie nowhere
  if (!has_operands(*call)) return kNoKernel;
  return launch_group_norm(params_of(*call), plan, static_cast<Element>(call->element),
                           static_cast<CUstream_st*>(stream));
}

int64_t brume_group_norm_workspace(const BrumeGroupNorm* call, const BrumeGpu* gpu) {
  if (!fits(*call)) return kNoKernel;
  return group_norm_workspace_bytes(params_of(*call).shape, plan_of(*call, *gpu));
}

int brume_group_norm_plan(const BrumeGroupNorm* call, const BrumeGpu* gpu, char* text, int32_t size) {
  if (!fits(*call)) return kNoKernel;
  const GroupNormPlan plan = plan_of(*call, *gpu);
  const bool once = plan.mode == GroupNormPlan::Mode::kOneLaunch;
  std::snprintf(text, static_cast<size_t>(size), "%s, %d slices of %d chunks, %d KiB",
                once ? "one launch" : "two passes", plan.slices, plan.chunks, plan.shared_bytes / 1024);
  return 0;
}
