#pragma once
#include <cstdint>

#include "kernels/attention_wide.h"
#include "kernels/softmax_rows_kernel.h"

// What attention by row blocks needs from a GPU, on the CPU.
namespace brume::kernels::machine {

/// The softmax kernel on the host body.
template <class T>
device::host::Report softmax_rows(const float* scores, void* weights, int32_t rows, int32_t columns) {
  const SoftmaxRowsParams params{scores, weights, columns};
  return device::host::run_grid(
      {.x = rows, .threads = SoftmaxRows<T>::kThreads, .shared_bytes = SoftmaxRows<T>::kSharedBytes},
      [&] { SoftmaxRows<T>::run(params); });
}

/// What cuBLAS does with a product, in float64.
template <class T>
int multiply(const MatrixProduct& product) {
  const auto* const a = static_cast<const T*>(product.a);
  const auto* const b = static_cast<const T*>(product.b);
  for (int64_t row = 0; row < product.rows; ++row) {
    for (int64_t column = 0; column < product.columns; ++column) {
      double sum = 0;
      for (int64_t i = 0; i < product.depth; ++i) {
        const int64_t right =
            product.b_transposed ? column * product.b_stride + i : i * product.b_stride + column;
        sum += double{to_float(a[row * product.a_stride + i])} * double{to_float(b[right])};
      }
      const int64_t place = row * product.c_stride + column;
      const auto value = static_cast<float>(sum * double{product.scale});
      if (product.result == MatrixProduct::Result::kScores) {
        static_cast<float*>(product.c)[place] = value;
      } else {
        static_cast<T*>(product.c)[place] = device::from_float<T>(value);
      }
    }
  }
  return 0;
}

}  // namespace brume::kernels::machine
