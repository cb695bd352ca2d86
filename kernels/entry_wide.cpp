#include "kernels/entry_wide.h"

#include <cmath>

#include "kernels/attention_wide_launch.h"

namespace {

using namespace brume::kernels;

WideShape shape_of(const BrumeAttention& call) {
  return {call.batch, call.queries, call.keys, call.head_dim};
}

TokenStrides strides_of(const BrumeAttention& call, int tensor) {
  const int64_t* const strides = call.strides + static_cast<ptrdiff_t>(3) * tensor;
  return {strides[0], strides[1], strides[2]};
}

}  // namespace

int brume_wide_attention(const BrumeAttention* call, void* workspace, void* cublas) {
  constexpr double kLog2E = 1.4426950408889634;
  const AttentionParams params{
      .q = call->pointers[0],
      .k = call->pointers[1],
      .v = call->pointers[2],
      .out = const_cast<void*>(call->pointers[3]),
      .q_strides = strides_of(*call, 0),
      .k_strides = strides_of(*call, 1),
      .v_strides = strides_of(*call, 2),
      .out_strides = strides_of(*call, 3),
      .queries = call->queries,
      .keys = call->keys,
      .scale_log2 = static_cast<float>(kLog2E / std::sqrt(double{1} * call->head_dim))};
  return launch_wide_attention(params, shape_of(*call), workspace, static_cast<Element>(call->element),
                               static_cast<cublasContext*>(cublas));
}

int64_t brume_wide_workspace(const BrumeAttention* call) {
  return static_cast<int64_t>(wide_workspace_bytes(shape_of(*call)));
}
