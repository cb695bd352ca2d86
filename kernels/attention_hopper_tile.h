#pragma once
#include "kernels/attention_params.h"
#include "kernels/budget.h"
#include "kernels/device/hopper.h"

// What the Hopper attention kernel is made of: its sizes, its shared memory, and a consumer group's rows.
namespace brume::kernels {

using Bytes = device::Shared<unsigned char>;

/// Sizes of one kernel. A head's columns lie in shared memory as panels of kColumnsOfPanel columns, each a
/// box of a tensor copy whose rows are as long as its swizzle's (16 columns: 32 bytes, 32: 64, 64: 128), so
/// that the copy and the products' descriptors ("K-major" for q and k, "MN-major" for v) name the same
/// layout. Q K^T runs over head_dim in steps of 16, P V over it in steps of 8: a product reads only the first
/// head_dim columns of its panels; the columns of the last panel beyond them are zeros that the copy fills
/// in.
template <class ElementType, int kHeadDimension, int kColumnsOfPanel>
struct HopperTile {
  using Element = ElementType;
  static constexpr int kHeadDim = kHeadDimension;
  static constexpr int kConsumers = 2;  // warp groups
  static constexpr int kThreads = 128 * (1 + kConsumers);
  static constexpr int kGroupRows = 64;
  static constexpr int kQueries = kConsumers * kGroupRows;
  static constexpr int kKeys = 128;
  static constexpr int kStages = kHeadDim <= 80 ? 3 : 2;  // of keys and values, as many as fit
  static constexpr int kDepthSteps = device::ceil_div(kHeadDim, 16);
  static constexpr int kPanelColumns = kColumnsOfPanel;
  static constexpr int kPanels = device::ceil_div(16 * kDepthSteps, kPanelColumns);
  static constexpr int kRowBytes = 2 * kPanelColumns;
  static constexpr auto kSwizzle = kRowBytes == 128  ? device::Swizzle::k128
                                   : kRowBytes == 64 ? device::Swizzle::k64
                                   : kRowBytes == 32 ? device::Swizzle::k32
                                                     : device::Swizzle::kNone;
  static constexpr int kKeyBytes = kPanels * kKeys * kRowBytes;
  static constexpr int kQueryBytes = kKeyBytes;
  // What descriptors name: the bytes from a panel, and from eight rows, to the next. Without a swizzle a
  // product's depth of 16 takes two panels of q and k, and v's two strides change places.
  static constexpr int kPanelStride = kKeys * kRowBytes;
  static constexpr int kRowsStride = 8 * kRowBytes;
  static constexpr bool kPlain = kSwizzle == device::Swizzle::kNone;
  static_assert(kQueries == kKeys, "one box serves q, k and v");
  static_assert(kHeadDim % 8 == 0 && kRowBytes == device::swizzle_row_bytes(kSwizzle));
};

/// The block's shared memory: q; the stages of k and v; the barriers.
template <class Tile>
class HopperMemory {
 public:
  static constexpr int kStageBytes = 2 * Tile::kKeyBytes;
  static constexpr int kBarriersAt = Tile::kQueryBytes + Tile::kStages * kStageBytes;
  static constexpr int kBytes = kBarriersAt + 8 * (1 + 4 * Tile::kStages);
  static_assert(kBytes <= kSharedBytesOfHopper);

  BRUME_DEVICE explicit HopperMemory(Bytes first) : first_(first) {}

  BRUME_DEVICE Bytes queries() const { return first_; }
  BRUME_DEVICE Bytes keys(int stage) const { return first_ + (Tile::kQueryBytes + stage * kStageBytes); }
  BRUME_DEVICE Bytes values(int stage) const { return keys(stage) + Tile::kKeyBytes; }

  BRUME_DEVICE device::Mbarrier queries_full() const { return barrier(0); }
  BRUME_DEVICE device::Mbarrier keys_full(int stage) const { return barrier(1 + 4 * stage); }
  BRUME_DEVICE device::Mbarrier keys_empty(int stage) const { return barrier(2 + 4 * stage); }
  BRUME_DEVICE device::Mbarrier values_full(int stage) const { return barrier(3 + 4 * stage); }
  BRUME_DEVICE device::Mbarrier values_empty(int stage) const { return barrier(4 + 4 * stage); }

  /// One thread calls it. The producer arrives where something becomes full, each consumer warp where it
  /// becomes empty.
  BRUME_DEVICE void init_barriers() const {
    device::mbarrier_init(queries_full(), 1);
    for (int stage = 0; stage < Tile::kStages; ++stage) {
      device::mbarrier_init(keys_full(stage), 1);
      device::mbarrier_init(keys_empty(stage), 4 * Tile::kConsumers);
      device::mbarrier_init(values_full(stage), 1);
      device::mbarrier_init(values_empty(stage), 4 * Tile::kConsumers);
    }
    device::fence_async_proxy();
  }

 private:
  BRUME_DEVICE device::Mbarrier barrier(int number) const {
    return (first_ + (kBarriersAt + 8 * number)).template as<uint64_t>();
  }

  Bytes first_;
};

/// The two consumer groups start their products in turn.
class HopperTurns {
 public:
  /// `turns` that each group will take.
  BRUME_DEVICE HopperTurns(int group, int turns) : group_(group), left_(turns) {
    if (group_ == 1) device::named_arrive(kFirstBarrier, kThreads);  // the other group begins
  }
  BRUME_DEVICE void wait() const { device::named_barrier(kFirstBarrier + group_, kThreads); }
  BRUME_DEVICE void pass() {
    // After the last turn nobody waits.
    if (--left_ > 0 || group_ == 0) device::named_arrive(kFirstBarrier + 1 - group_, kThreads);
  }

 private:
  static constexpr int kFirstBarrier = 1;
  static constexpr int kThreads = 256;
  int group_;
  int left_;
};

/// A thread's part of its group's 64 rows: two rows, of which four neighbouring lanes hold every other pair
/// of columns (device::group_accumulator_place).
template <class Tile>
struct HopperRows {
  using T = typename Tile::Element;
  static constexpr int kScores = Tile::kKeys / 2;
  static constexpr int kKeySteps = Tile::kKeys / 16;

  float scores[kScores];
  uint32_t weights[kKeySteps][4];  // the exponentials, as left factors of sixteen keys each
  float output[Tile::kHeadDim / 2];
  float largest[2];  // score so far, unscaled
  float sum[2];      // of this lane's columns alone, until finish

  BRUME_DEVICE HopperRows() {
    BRUME_UNROLL
    for (float& x : output) x = 0;
    BRUME_UNROLL
    for (int half = 0; half < 2; ++half) {
      largest[half] = -device::infinity();
      sum[half] = 0;
    }
  }

  /// Starts Q K^T; `queries` is the group's first row in the first panel.
  BRUME_DEVICE void start_scores(Bytes queries, Bytes keys) {
    constexpr int kNextChunk = Tile::kPlain ? Tile::kPanelStride : 16;
    const uint64_t left = device::describe_matrix(queries, kNextChunk, Tile::kRowsStride, Tile::kSwizzle);
    const uint64_t right = device::describe_matrix(keys, kNextChunk, Tile::kRowsStride, Tile::kSwizzle);
    device::group_fence();
    BRUME_UNROLL
    for (int step = 0; step < Tile::kDepthSteps; ++step) {
      const int panel = 32 * step / Tile::kRowBytes;
      const int inside = 32 * step % Tile::kRowBytes;
      device::group_multiply<T, Tile::kKeys>(
          scores, device::advance_matrix(left, panel * Tile::kPanelStride + inside),
          device::advance_matrix(right, panel * Tile::kPanelStride + inside), step > 0);
    }
    device::group_commit();
  }

  /// Starts the sum of the weights times the values.
  BRUME_DEVICE void start_output(Bytes values) {
    // Packed and scaled before the fence, not when the compiler finds them needed.
    device::pin_registers(weights);
    device::pin_registers(output);
    device::group_fence();
    constexpr int kLeading = Tile::kPlain ? Tile::kRowsStride : Tile::kPanelStride;
    constexpr int kStride = Tile::kPlain ? Tile::kPanelStride : Tile::kRowsStride;
    const uint64_t right = device::describe_matrix(values, kLeading, kStride, Tile::kSwizzle);
    BRUME_UNROLL
    for (int step = 0; step < kKeySteps; ++step) {
      device::group_multiply<T, Tile::kHeadDim>(
          output, weights[step], device::advance_matrix(right, step * 16 * Tile::kRowBytes), 1);
    }
    device::group_commit();
  }

  /// Keys from `count` on do not exist.
  BRUME_DEVICE void mask(int count) {
    BRUME_UNROLL
    for (int i = 0; i < kScores; ++i) {
      const int key = i / 4 * 8 + device::lane() % 4 * 2 + i % 2;
      if (key >= count) scores[i] = -device::infinity();
    }
  }

  /// Turns scores into exponentials relative to the largest so far; `shrink` is what earlier outputs must be
  /// multiplied by.
  BRUME_DEVICE void take_softmax(float scale_log2, float (&shrink)[2]) {
    BRUME_UNROLL
    for (int half = 0; half < 2; ++half) {
      float peak = largest[half];
      BRUME_UNROLL
      for (int i = 2 * half; i < kScores; i += 4)
        peak = device::maximum(device::maximum(peak, scores[i]), scores[i + 1]);
      peak = device::maximum(peak, device::shuffle_xor(peak, 1));
      peak = device::maximum(peak, device::shuffle_xor(peak, 2));
      // A row that has seen only -inf so far has weights of zero, not the nan of inf - inf. The peak is taken
      // away before the scaling: a product rounded first would be off by whole powers where scores are huge.
      const float reference = peak == -device::infinity() ? 0.0F : peak;
      shrink[half] = device::exp2_fast((largest[half] - reference) * scale_log2);
      largest[half] = peak;
      float added = 0;
      BRUME_UNROLL
      for (int i = 2 * half; i < kScores; i += 4) {
        BRUME_UNROLL
        for (int j = i; j < i + 2; ++j) {
          scores[j] = device::exp2_fast((scores[j] - reference) * scale_log2);
          added += scores[j];
        }
      }
      sum[half] = device::multiply_add(sum[half], shrink[half], added);
    }
    // Done here, while products are at work, not when the compiler finds the exponentials needed.
    device::pin_registers(scores);
  }

  /// The accumulators of sixteen keys are, packed, the left factor's registers.
  BRUME_DEVICE void pack_weights() {
    BRUME_UNROLL
    for (int step = 0; step < kKeySteps; ++step) {
      BRUME_UNROLL
      for (int i = 0; i < 4; ++i)
        weights[step][i] = device::pack<T>(scores[8 * step + 2 * i], scores[8 * step + 2 * i + 1]);
    }
  }

  BRUME_DEVICE void scale_output(const float (&factor)[2]) {
    BRUME_UNROLL
    for (int i = 0; i < Tile::kHeadDim / 2; ++i) output[i] *= factor[i / 2 % 2];
  }

  /// Divides by the rows' sums. Where all scores are -inf, the sum and the output are zero, and stay so.
  BRUME_DEVICE void finish() {
    float reciprocal[2];
    BRUME_UNROLL
    for (int half = 0; half < 2; ++half) {
      float total = sum[half];
      total += device::shuffle_xor(total, 1);
      total += device::shuffle_xor(total, 2);
      reciprocal[half] = total == 0 ? 0.0F : device::reciprocal_fast(total);
    }
    scale_output(reciprocal);
  }

  /// Writes the rows; `out` is the head's first row, the group's rows begin at `from`.
  BRUME_DEVICE void store(T* out, int64_t stride, int from, int queries) const {
    BRUME_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = from + device::warp() % 4 * 16 + device::lane() / 4 + half * 8;
      if (row >= queries) continue;
      BRUME_UNROLL
      for (int i = 2 * half; i < Tile::kHeadDim / 2; i += 4) {
        const int column = i / 4 * 8 + device::lane() % 4 * 2;
        device::store_global(out + row * stride + column, device::pack<T>(output[i], output[i + 1]));
      }
    }
  }
};

}  // namespace brume::kernels
