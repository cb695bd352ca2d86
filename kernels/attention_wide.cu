#include <cublas_v2.h>

#include "kernels/attention_wide_launch.h"
#include "kernels/element_dispatch.h"
#include "kernels/softmax_rows_kernel.h"

namespace brume::kernels {

namespace {

template <class T>
__global__ void __launch_bounds__(SoftmaxRows<T>::kBudget.threads)
    softmax_rows_kernel(SoftmaxRowsParams params) {
  SoftmaxRows<T>::run(params);
}

/// cuBLAS counts columns first: a row-major product is the transposed one of the transposed factors.
int multiply(const MatrixProduct& product, Element element, cublasHandle_t cublas) {
  const cudaDataType_t half = element == Element::kHalf ? CUDA_R_16F : CUDA_R_16BF;
  const cudaDataType_t result = product.result == MatrixProduct::Result::kScores ? CUDA_R_32F : half;
  const float zero = 0;
  return static_cast<int>(cublasGemmEx(
      cublas, product.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, CUBLAS_OP_N, product.columns, product.rows,
      product.depth, &product.scale, product.b, half, static_cast<int>(product.b_stride), product.a, half,
      static_cast<int>(product.a_stride), &zero, product.c, result, static_cast<int>(product.c_stride),
      CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

}  // namespace

int launch_softmax_rows(const float* scores, void* weights, int32_t rows, int32_t columns, Element element,
                        CUstream_st* stream) {
  return with_half_element(element, cudaErrorInvalidValue, [&]<class T>() {
    softmax_rows_kernel<T><<<rows, SoftmaxRows<T>::kThreads, SoftmaxRows<T>::kSharedBytes, stream>>>(
        {scores, weights, columns});
    return static_cast<int>(cudaGetLastError());
  });
}

int launch_wide_attention(const AttentionParams& params, const WideShape& shape, void* workspace,
                          Element element, cublasContext* cublas) {
  if (element == Element::kFloat) return cudaErrorInvalidValue;
  cudaStream_t stream = nullptr;
  if (const auto error = cublasGetStream(cublas, &stream); error != CUBLAS_STATUS_SUCCESS)
    return static_cast<int>(error);
  return wide_attention(params, shape, workspace,
                        {[&](const MatrixProduct& product) { return multiply(product, element, cublas); },
                         [&](const float* scores, void* weights, int32_t rows, int32_t keys) {
                           return launch_softmax_rows(scores, weights, rows, keys, element, stream);
                         }});
}

}  // namespace brume::kernels
