#pragma once
#include "kernels/budget.h"
#include "kernels/device/device.h"
#include "kernels/moments.h"
#include "kernels/small_params.h"

// Layer norm on paper, fp16, with a residual added and the sum kept: two reads, two writes, 9 FLOP an
// element. Expected, not measured (README.md).
//
//   rows x width           moved     FLOP   A100    RTX 4090   H200     bound by
//   8192 x 320  (SD1.5)    21.0 MB   24 M   15 us   28 us      7.5 us   memory
//   2048 x 640             10.5 MB   12 M    8 us   15 us      4.7 us   memory
//   8192 x 640  (SDXL)     41.9 MB   47 M   28 us   54 us       13 us   memory
//   2048 x 1280            21.0 MB   24 M   15 us   28 us      7.5 us   memory
//
// Registers, the most over sm_80, 86, 89, 90a and 120 (the budget is 80), without spills or local memory: 56
// (float), 72 (Bfloat16), 56 (Half), scalars 40. Shared memory: a row a warp, at most 48 KiB a block.
namespace brume::kernels::device {

/// Layer norm of rows, a warp each, which keeps its row in shared memory: every lane its own vectors, so that
/// nobody waits for anybody.
template <class T, int kVector>
class LayerNorm {
 public:
  using Values = Vector<T, kVector>;

  // 24 warps: with rows of 1,280 bytes they have 30 KB on their way, with a residual twice that.
  static constexpr KernelBudget kBudget{128, 6, kSharedBytesUnasked};

  BRUME_DEVICE explicit LayerNorm(const LayerNormParams& params)
      : params_(params),
        vectors_(params.width / kVector),
        row_(block_x() * (threads() / 32) + warp()),
        kept_((shared_memory().as<T>() + (warp() * ceil_div(vectors_, 32) * 32 + lane()) * kVector)
                  .template as<Values>()) {}

  BRUME_DEVICE void operator()() const {
    if (row_ >= params_.rows) return;
    prefetch();
    const float mean = summed_in_warp(keep()) / static_cast<float>(params_.width);
    // Of the deviations themselves: nothing cancels.
    float squares = 0;
    for (int i = lane(); i < vectors_; i += 32) {
      const Values values = at(i).load();
      BRUME_UNROLL
      for (int j = 0; j < kVector; ++j) {
        const float off = to_float(values[j]) - mean;
        squares = multiply_add(off, off, squares);
      }
    }
    const float variance = summed_in_warp(squares) / static_cast<float>(params_.width);
    write(mean, reciprocal_root(variance + params_.eps));
  }

 private:
  static constexpr int kInFlight = 4;  // reads that a lane has on their way

  BRUME_DEVICE Shared<Values> at(int i) const { return kept_ + (i - lane()); }

  BRUME_DEVICE const T* place(const Rows& matrix, int i) const {
    return static_cast<const T*>(matrix.data) + row_ * matrix.stride + i * kVector;
  }
  BRUME_DEVICE T* write_place(const MutableRows& matrix, int i) const {
    return static_cast<T*>(matrix.data) + row_ * matrix.stride + i * kVector;
  }

  /// Brings nearer what all rows of the block read when their moments are known.
  BRUME_DEVICE void prefetch() const {
    if (warp() != 0) return;
    for (int i = lane(); i < vectors_; i += 32) {
      prefetch_global(static_cast<const T*>(params_.weight) + i * kVector);
      prefetch_global(static_cast<const T*>(params_.bias) + i * kVector);
    }
  }

  /// Brings the row on chip; gives the sum of the lane's part.
  BRUME_DEVICE float keep() const {
    float sum = 0;
    const bool residual = params_.residual.data != nullptr;
    for (int first = lane(); first < vectors_; first += 32 * kInFlight) {
      Values values[kInFlight];
      Values added[kInFlight];
      BRUME_UNROLL
      for (int k = 0; k < kInFlight; ++k) {
        const int i = first + 32 * k;
        if (i < vectors_) values[k] = load_global<Values>(place(params_.x, i));
        if (i < vectors_ && residual) added[k] = load_global<Values>(place(params_.residual, i));
      }
      BRUME_UNROLL
      for (int k = 0; k < kInFlight; ++k) {
        const int i = first + 32 * k;
        if (i >= vectors_) continue;
        if (residual) values[k] = plus(values[k], added[k]);
        if (params_.sum.data != nullptr) store_global(write_place(params_.sum, i), values[k]);
        at(i).store(values[k]);
        BRUME_UNROLL
        for (int j = 0; j < kVector; ++j) sum += to_float(values[k][j]);
      }
    }
    return sum;
  }

  /// Rounded to T, as the sum that others read.
  BRUME_DEVICE static Values plus(const Values& a, const Values& b) {
    Values sum;
    BRUME_UNROLL
    for (int j = 0; j < kVector; ++j) sum[j] = from_float<T>(to_float(a[j]) + to_float(b[j]));
    return sum;
  }

  BRUME_DEVICE void write(float mean, float root) const {
    for (int i = lane(); i < vectors_; i += 32) {
      const Values values = at(i).load();
      const auto weight = load_global<Values>(static_cast<const T*>(params_.weight) + i * kVector);
      const auto bias = load_global<Values>(static_cast<const T*>(params_.bias) + i * kVector);
      Values y;
      BRUME_UNROLL
      for (int j = 0; j < kVector; ++j) {
        const float normal = (to_float(values[j]) - mean) * root;
        y[j] = from_float<T>(multiply_add(normal, to_float(weight[j]), to_float(bias[j])));
      }
      store_global(write_place(params_.y, i), y);
    }
  }

  const LayerNormParams& params_;
  int vectors_;  // of a row
  int64_t row_;
  Shared<Values> kept_;  // the lane's first vector
};

}  // namespace brume::kernels::device
