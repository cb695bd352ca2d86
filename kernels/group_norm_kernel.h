#pragma once
#include "kernels/budget.h"
#include "kernels/device/device.h"
#include "kernels/group_norm_column.h"
#include "kernels/group_norm_params.h"
#include "kernels/moments.h"

// Group norm over NHWC maps, on paper, fp16 with SiLU; expected, not measured (README.md). One launch moves
// each byte once in and once out; two passes read twice, the second time what L2 still has of it. 13 FLOP an
// element are far from any limit.
//
//   x                   moved                FLOP     A100        RTX 4090     H200        bound by
//   2 x 64x64 x 320     10.5 MB               34 M    10 us       17 us        6 us        memory, then the
//   2 x 128x128 x 320   41.9 MB              136 M    29 us       56 us        14 us       meeting
//   1 x 1024x1024 x 128, two passes
//                       0.54 to 0.81 GB      1.7 G    333-498 us  670-1003 us  144-214 us  memory
//
// The meeting of a slice's blocks costs one trip to L2 and back for the counter and one for the partials,
// about 1.5 us, and nothing else overlaps with it than the other block of the multiprocessor.
//
// Registers, the most over sm_80, 86, 89, 90a and 120 (the budget is 64); nothing spills and nothing lies in
// local memory:
//   one launch: 64 (vectors), 64 (scalars)   first pass: 64, 60   second pass: 64, 53
// Shared memory is the plan's: one launch at most half of a multiprocessor's, with its tile; two passes 6 to
// 12 KiB.
namespace brume::kernels::device {

/// A partial result in the workspace: count, mean, squares, nothing.
using Partial = Vector<float, 4>;

/// The kernels: T float, Half or Bfloat16; kVector elements an access.
template <class T, int kVector>
class GroupNorm {
 public:
  using Values = Vector<T, kVector>;
  using Column = GroupNormColumn<T, kVector>;

  // Two blocks of sixteen warps each: one reads while the other writes, or waits at its meeting. Their tiles
  // share the largest multiprocessor's memory, less the driver's part; two passes keep no tile.
  static constexpr KernelBudget kOneLaunchBudget{512, kGroupNormBlocksEach,
                                                 (kSharedBytesOfHopper + 1024) / kGroupNormBlocksEach - 1024};
  static constexpr KernelBudget kPassBudget{512, kGroupNormBlocksEach, kSharedBytesUnasked};

  BRUME_DEVICE GroupNorm(const GroupNormParams& params, const GroupNormPlan& plan)
      : params_(params),
        plan_(plan),
        tile_((shared_memory().as<T>())),
        moments_((tile_ + plan.slots * threads() * kVector).template as<float>()),
        statistics_((moments_ + spans() * 3 * threads()).template as<Vector<float, 2>>()) {}

  /// Reads the chunk twice at most, the second time from chip.
  BRUME_DEVICE void one_launch() const {
    for (int job = block_y(); job < params_.shape.pictures * plan_.slices; job += plan_.teams) {
      const GroupNormWork work = group_norm_work(params_, plan_, job, block_x());
      Moments low{};
      Moments high{};
      int slot = 0;
      for (int column = work.column; column < work.columns; column += work.width) {
        keep(Column(params_, work, column), work.visits, slot, low, high);
        slot += work.visits;
      }
      share(work, low, high);
      if (plan_.chunks == 1) {
        settle_alone(work);
      } else {
        publish(work, block_x());
        meet(job);
        settle(work);
      }
      block_barrier();
      slot = 0;
      for (int column = work.column; column < work.columns; column += work.width) {
        const Column here(params_, work, column);
        const Line line(*this, here);
        for (int i = 0; i < work.visits; ++i) here.store(i, line(at(slot + i).load()));
        slot += work.visits;
      }
    }
  }

  BRUME_DEVICE void first_pass(int first_job) const {
    const GroupNormWork work = group_norm_work(params_, plan_, first_job + block_y(), block_x());
    Moments low{};
    Moments high{};
    for (int column = work.column; column < work.columns; column += work.width) {
      const Column here(params_, work, column);
      ColumnMoments<T, kVector> moments;
      for_each_read<kFirstReads, Order::kForward>(here, work.visits,
                                                  [&](int, const Values& values) { moments.add(values); });
      moments.add_to(low, high, here.embedding(), here.split());
    }
    share(work, low, high);
    publish(work, block_x());
  }

  /// Each thread begins where it ended: where a slice is larger than L2, the newest of it is there still.
  BRUME_DEVICE void second_pass(int first_job) const {
    const GroupNormWork work = group_norm_work(params_, plan_, first_job + block_y(), block_x());
    settle(work);
    block_barrier();
    for (int column = work.column; column < work.columns; column += work.width) {
      const Column here(params_, work, column);
      const Line line(*this, here);
      for_each_read<kSecondReads, Order::kBackward>(
          here, work.visits, [&](int i, const Values& values) { here.store(i, line(values)); });
    }
  }

 private:
  enum class Order { kForward, kBackward };
  static constexpr int kStages = 4;  // of copies on their way while the earlier are counted
  // Reads that a thread has on their way, as many as its registers hold without a spill: 48 KB a
  // multiprocessor, of which memory needs half to be busy. In the second pass L2 is near.
  static constexpr int kFirstReads = 3;
  static constexpr int kSecondReads = 2;

  /// What becomes of a column's values: a line in each channel, then the activation.
  class Line {
   public:
    BRUME_DEVICE Line(const GroupNorm& norm, const Column& column)
        : silu_(norm.params_.activation == NormActivation::kSilu) {
      const Values weight = column.weight();
      const Values bias = column.bias();
      const Vector<float, kVector> added = column.embedding();
      const Vector<float, 2> low = (norm.statistics_ + column.group()).load();
      Vector<float, 2> high = low;
      if (column.split() < kVector) high = (norm.statistics_ + (column.group() + 1)).load();
      BRUME_UNROLL
      for (int i = 0; i < kVector; ++i) {
        const float mean = i < column.split() ? low[0] : high[0];
        scale_[i] = to_float(weight[i]) * (i < column.split() ? low[1] : high[1]);
        offset_[i] = multiply_add(added[i] - mean, scale_[i], to_float(bias[i]));
      }
    }

    BRUME_DEVICE Values operator()(const Values& values) const {
      Values y;
      BRUME_UNROLL
      for (int i = 0; i < kVector; ++i) {
        const float x = multiply_add(to_float(values[i]), scale_[i], offset_[i]);
        y[i] = from_float<T>(silu_ ? x * sigmoid(x) : x);
      }
      return y;
    }

   private:
    bool silu_;
    float scale_[kVector];
    float offset_[kVector];
  };

  BRUME_DEVICE int spans() const {
    return params_.shape.channels / params_.shape.groups % kVector == 0 ? 1 : 2;
  }

  /// The thread's own vectors; nobody else touches them.
  BRUME_DEVICE Shared<Values> at(int slot) const {
    return (tile_ + (slot * threads() + thread()) * kVector).template as<Values>();
  }

  template <int kInFlight, Order kOrder, class Use>
  BRUME_DEVICE void for_each_read(const Column& column, int visits, const Use& use) const {
    const auto visit = [&](int i) { return kOrder == Order::kForward ? i : visits - 1 - i; };
    for (int first = 0; first < visits; first += kInFlight) {
      Values values[kInFlight];
      BRUME_UNROLL
      for (int i = 0; i < kInFlight; ++i) {
        if (first + i < visits) values[i] = load_global<Values>(column.from(visit(first + i)));
      }
      BRUME_UNROLL
      for (int i = 0; i < kInFlight; ++i) {
        if (first + i < visits) use(visit(first + i), values[i]);
      }
    }
  }

  /// Brings a column on chip, from `slot` on, and adds up its moments.
  BRUME_DEVICE void keep(const Column& column, int visits, int slot, Moments& low, Moments& high) const {
    column.prefetch();
    ColumnMoments<T, kVector> moments;
    if constexpr (sizeof(Values) == 16) {
      const int part = ceil_div(visits, kStages);
      for (int stage = 0; stage < kStages; ++stage) {
        for (int i = stage * part; i < smaller((stage + 1) * part, visits); ++i)
          copy_async_16(at(slot + i).template as<T>(), column.from(i), 16);
        copy_async_commit();
      }
      copy_async_wait<3>();
      count(moments, slot, 0, smaller(part, visits));
      copy_async_wait<2>();
      count(moments, slot, part, smaller(2 * part, visits));
      copy_async_wait<1>();
      count(moments, slot, 2 * part, smaller(3 * part, visits));
      copy_async_wait<0>();
      count(moments, slot, 3 * part, visits);
    } else {
      for_each_read<kFirstReads, Order::kForward>(column, visits, [&](int i, const Values& values) {
        at(slot + i).store(values);
        moments.add(values);
      });
    }
    moments.add_to(low, high, column.embedding(), column.split());
  }

  BRUME_DEVICE void count(ColumnMoments<T, kVector>& moments, int slot, int first, int last) const {
    for (int i = first; i < last; ++i) moments.add(at(slot + i).load());
  }

  /// Shows the thread's moments to the block.
  BRUME_DEVICE void share(const GroupNormWork& work, const Moments& low, const Moments& high) const {
    warp_barrier();  // lanes come from loops of different lengths
    if (work.active) {
      show(low, 0);
      if (spans() == 2) show(high, 1);
    }
    block_barrier();
  }
  BRUME_DEVICE void show(const Moments& mine, int span) const {
    const Shared<float> place = moments_ + (span * 3 * threads() + thread());
    place.store(mine.count);
    (place + threads()).store(mine.mean);
    (place + 2 * threads()).store(mine.squares);
  }

  /// The block's moments of a group, which has pixels in every block, by one warp.
  BRUME_DEVICE Moments block_moments(const GroupNormWork& work, int group) const {
    const int group_channels = params_.shape.channels / params_.shape.groups;
    // Where there are more columns than threads, the slice is a single group.
    const int first = group * group_channels / kVector;
    const int columns = smaller(((group + 1) * group_channels - 1) / kVector - first + 1, work.width);
    const auto each = [&](const auto& use) {
      for (int i = lane(); i < work.rows * columns; i += 32) {
        const int column = first + i % columns;
        const int span = column * kVector < group * group_channels ? 1 : 0;
        const Shared<float> place = moments_ + (span * 3 * threads() + i / columns * work.width + column);
        use(place.load(), (place + threads()).load(), place + 2 * threads());
      }
    };
    // The mean first and then what is apart from it: sums, where merging divides at every step.
    float count = 0;
    float total = 0;
    each([&](float number, float mean, const Shared<float>&) {
      count += number;
      total = multiply_add(number, mean, total);
    });
    count = summed_in_warp(count);
    const float mean = summed_in_warp(total) * reciprocal_fast(count);
    float squares = 0;
    each([&](float number, float own, const Shared<float>& around) {
      const float off = own - mean;
      squares += multiply_add(off * off, number, around.load());
    });
    return {count, mean, summed_in_warp(squares)};
  }

  BRUME_DEVICE Partial* partial(const GroupNormWork& work, int group, int chunk) const {
    const int64_t index = int64_t{work.picture} * params_.shape.groups + work.first_group + group;
    return reinterpret_cast<Partial*>(static_cast<unsigned char*>(params_.workspace) +
                                      kGroupNormMeetingBytes) +
           (index * plan_.chunks + chunk);
  }

  BRUME_DEVICE void publish(const GroupNormWork& work, int chunk) const {
    for (int group = warp(); group < work.groups; group += threads() / 32) {
      const Moments sum = block_moments(work, group);
      if (lane() == 0) store_global(partial(work, group, chunk), Partial{{sum.count, sum.mean, sum.squares}});
    }
  }

  BRUME_DEVICE void state(int group, const Moments& all) const {
    if (lane() != 0) return;
    const float variance = all.squares * reciprocal_fast(all.count);
    (statistics_ + group).store({{all.mean, reciprocal_root(variance + params_.eps)}});
  }

  BRUME_DEVICE void settle_alone(const GroupNormWork& work) const {
    for (int group = warp(); group < work.groups; group += threads() / 32)
      state(group, block_moments(work, group));
  }

  /// From what all blocks of the slice have published.
  BRUME_DEVICE void settle(const GroupNormWork& work) const {
    for (int group = warp(); group < work.groups; group += threads() / 32) {
      Moments sum{};
      for (int chunk = lane(); chunk < plan_.chunks; chunk += 32) {
        const auto one = load_global<Partial>(partial(work, group, chunk));
        sum = merged(sum, {one[0], one[1], one[2]});
      }
      state(group, merged_in_warp(sum));
    }
  }

  /// The blocks of a slice meet. Its state is {phase, counter 0, counter 1}; the counter of the phase is zero
  /// between launches. When all have come, the first block clears the other counter and changes the phase:
  /// nobody looks at either before the next launch.
  BRUME_DEVICE void meet(int job) const {
    block_barrier();
    if (thread() == 0) {
      unsigned* meeting = static_cast<unsigned*>(params_.workspace) + job * 4;
      const auto phase = load_global<unsigned>(meeting);
      global_arrive(meeting + 1 + phase);
      global_wait(meeting + 1 + phase, static_cast<unsigned>(plan_.chunks));
      if (block_x() == 0) {
        store_global(meeting + 2 - phase, 0U);
        store_global(meeting, 1 - phase);
      }
    }
    block_barrier();
  }

  const GroupNormParams& params_;
  const GroupNormPlan& plan_;
  Shared<T> tile_;                       // [slots, threads, kVector]
  Shared<float> moments_;                // [spans, 3, threads]
  Shared<Vector<float, 2>> statistics_;  // [slice_groups]: mean, 1 / deviation
};

}  // namespace brume::kernels::device
