#pragma once
#include "kernels/attention_launch.h"
#include "kernels/attention_wide.h"

struct cublasContext;

namespace brume::kernels {

/// wide_attention by cuBLAS, whose stream the handle already has. Returns the first CUDA or cuBLAS error
/// code, 0 for success.
int launch_wide_attention(const AttentionParams& params, const WideShape& shape, void* workspace,
                          Element element, cublasContext* cublas);

}  // namespace brume::kernels
