#include "kernels/entry_wide.h"

#include "kernels/attention_wide_launch.h"
#include "kernels/entry_params.h"

namespace {

using namespace brume::kernels;

bool fits(const BrumeAttention& call) { return call.heads == 1 && is_half_element(call.element); }

WideShape shape_of(const BrumeAttention& call) {
  return {call.batch, call.queries, call.keys, call.head_dim};
}

}  // namespace

int brume_wide_attention(const BrumeAttention* call, void* workspace, void* cublas) {
  if (!fits(*call)) return kNoKernel;
  const AttentionParams params = params_of(*call);
  return launch_wide_attention(params, shape_of(*call), workspace, static_cast<Element>(call->element),
                               static_cast<cublasContext*>(cublas));
}

int64_t brume_wide_workspace(const BrumeAttention* call) {
  return fits(*call) ? static_cast<int64_t>(wide_workspace_bytes(shape_of(*call))) : kNoKernel;
}
