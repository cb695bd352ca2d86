#pragma once
#include "kernels/entry.h"

// As entry.h, for the attention that needs cuBLAS: a library of its own, so that the others need the CUDA
// runtime alone.
extern "C" {

/// One head of any width, fp16 or bf16; -1 for anything else. `cublas` is a cublasHandle_t, whose stream is
/// used; a cuBLAS error code is given as it is.
int brume_wide_attention(const BrumeAttention* call, void* workspace, void* cublas);
int64_t brume_wide_workspace(const BrumeAttention* call);
}
