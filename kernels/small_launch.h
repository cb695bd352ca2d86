#pragma once
#include "kernels/element.h"
#include "kernels/small_params.h"

struct CUstream_st;

namespace brume::kernels {

// Each launches its kernel in `stream` for tensors of `element`, and gives the cudaError_t, 0 for none.
// Nothing at all is done for no elements. A layer norm whose rows do not fit (small_plan.h) is an invalid
// value.
int launch_layer_norm(const LayerNormParams& params, Element element, CUstream_st* stream);
int launch_geglu(const GegluParams& params, Element element, CUstream_st* stream);
int launch_silu(const SiluParams& params, Element element, CUstream_st* stream);
int launch_timestep_embedding(const TimestepEmbeddingParams& params, Element element, CUstream_st* stream);
/// `element` is the predictions'.
int launch_guided_step(const GuidedStepParams& params, Element element, CUstream_st* stream);

}  // namespace brume::kernels
