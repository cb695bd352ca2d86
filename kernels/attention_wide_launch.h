#pragma once
#include "kernels/attention_launch.h"
#include "kernels/attention_wide.h"

struct cublasContext;

namespace brume::kernels {

/// A softmax of each row (softmax_rows_kernel.h), for fp16 or bf16. Returns the CUDA error code.
int launch_softmax_rows(const float* scores, void* weights, int32_t rows, int32_t columns, Element element,
                        CUstream_st* stream);

/// wide_attention by cuBLAS, for fp16 or bf16, whose stream the handle already has. Returns the first CUDA or
/// cuBLAS error code, 0 for success.
int launch_wide_attention(const AttentionParams& params, const WideShape& shape, void* workspace,
                          Element element, cublasContext* cublas);

}  // namespace brume::kernels
