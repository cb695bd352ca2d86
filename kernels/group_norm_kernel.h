#pragma once
#include "kernels/device/device.h"
#include "kernels/group_norm_params.h"
#include "kernels/moments.h"

// Group norm over NHWC maps.
namespace brume::kernels::device {

/// A partial result in the workspace: count, mean, squares, nothing.
using Partial = Vector<float, 4>;

/// The chunk a block works on and its thread's part of it.
struct GroupNormWork {
  int picture;
  int first_group;
  int groups;
  int columns;    // vectors of a pixel
  int width;      // of them at once
  int rows;       // pixels at once
  int column;     // the thread's first
  int visits;     // pixels that the thread sees of each column
  int64_t pixel;  // the first of them
  bool active;
};

BRUME_DEVICE GroupNormWork group_norm_work(const GroupNormParams& params, const GroupNormPlan& plan, int job,
                                           int chunk) {
  GroupNormWork work;
  work.picture = job / plan.slices;
  work.first_group = job % plan.slices * plan.slice_groups;
  work.groups = smaller(plan.slice_groups, params.shape.groups - work.first_group);
  work.columns = work.groups * (params.shape.channels / params.shape.groups) / plan.vector;
  work.width = smaller(work.columns, threads());
  work.rows = threads() / work.width;
  const int row = thread() / work.width;
  const int first = chunk * plan.chunk_pixels;
  const int pixels = smaller(plan.chunk_pixels, params.shape.pixels - first);
  work.column = thread() - row * work.width;
  work.pixel = int64_t{first} + row;
  work.active = row < work.rows;
  work.visits = work.active && row < pixels ? ceil_div(pixels - row, work.rows) : 0;
  return work;
}

/// One vector column of the thread: where it is read and written, and the groups its channels belong to: the
/// first `split` of them to `group` of the slice, the rest to the next.
template <class T, int kVector>
class GroupNormColumn {
 public:
  using Values = Vector<T, kVector>;

  BRUME_DEVICE GroupNormColumn(const GroupNormParams& params, const GroupNormWork& work, int column)
      : params_(params), picture_(work.picture), from_step_(0), to_step_(work.rows * params.y_pixel_stride) {
    const int group_channels = params.shape.channels / params.shape.groups;
    channel_ = work.first_group * group_channels + column * kVector;
    group_ = column * kVector / group_channels;
    split_ = smaller(kVector, (group_ + 1) * group_channels - column * kVector);
    const bool second = channel_ >= params.parts[0].channels;
    const GroupNormPart part = second ? params.parts[1] : params.parts[0];
    from_step_ = work.rows * part.pixel_stride;
    from_ = static_cast<const T*>(part.data) + picture_ * part.picture_stride +
            work.pixel * part.pixel_stride + (channel_ - (second ? params.parts[0].channels : 0));
    to_ = static_cast<T*>(params.y) + picture_ * params.y_picture_stride +
          work.pixel * params.y_pixel_stride + channel_;
  }

  BRUME_DEVICE const T* from(int visit) const { return from_ + visit * from_step_; }
  BRUME_DEVICE void store(int visit, const Values& y) const { store_global(to_ + visit * to_step_, y); }
  BRUME_DEVICE int group() const { return group_; }
  BRUME_DEVICE int split() const { return split_; }
  BRUME_DEVICE Values weight() const {
    return load_global<Values>(static_cast<const T*>(params_.weight) + channel_);
  }
  BRUME_DEVICE Values bias() const {
    return load_global<Values>(static_cast<const T*>(params_.bias) + channel_);
  }

  /// What is added to each channel, in fp32.
  BRUME_DEVICE Vector<float, kVector> embedding() const {
    Vector<float, kVector> added{};
    if (params_.embedding == nullptr) return added;
    const auto values = load_global<Values>(static_cast<const T*>(params_.embedding) +
                                            picture_ * params_.embedding_stride + channel_);
    BRUME_UNROLL
    for (int i = 0; i < kVector; ++i) added[i] = to_float(values[i]);
    return added;
  }

 private:
  const GroupNormParams& params_;
  int64_t picture_;
  int64_t from_step_;
  int64_t to_step_;
  const T* from_;
  T* to_;
  int channel_;
  int group_;
  int split_;
};

/// Welford's moments of each channel of a column; what is added to a channel moves its mean alone.
template <class T, int kVector>
class ColumnMoments {
 public:
  BRUME_DEVICE void add(const Vector<T, kVector>& values) {
    count_ += 1;
    // The first mean must be the value itself: what rounding leaves of it would count as deviation.
    const float share = count_ == 1 ? 1.0F : reciprocal_fast(count_);
    BRUME_UNROLL
    for (int i = 0; i < kVector; ++i) {
      const float x = to_float(values[i]);
      const float off = x - mean_[i];
      mean_[i] = multiply_add(off, share, mean_[i]);
      squares_[i] = multiply_add(off, x - mean_[i], squares_[i]);
    }
  }

  /// Adds the channels before `split` to `low`, the others to `high`.
  BRUME_DEVICE void add_to(Moments& low, Moments& high, const Vector<float, kVector>& added,
                           int split) const {
    BRUME_UNROLL
    for (int i = 0; i < kVector; ++i) {
      const Moments channel{count_, mean_[i] + added[i], squares_[i]};
      if (i < split) {
        low = merged(low, channel);
      } else {
        high = merged(high, channel);
      }
    }
  }

 private:
  float count_ = 0;
  float mean_[kVector] = {};
  float squares_[kVector] = {};
};

/// The kernel's parts: T float, Half or Bfloat16; kVector elements an access.
template <class T, int kVector>
class GroupNorm {
 public:
  using Values = Vector<T, kVector>;
  using Column = GroupNormColumn<T, kVector>;

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
      for_each_read<kFirstReads>(here, work.visits, [&](int, const Values& values) { moments.add(values); });
      moments.add_to(low, high, here.embedding(), here.split());
    }
    share(work, low, high);
    publish(work, block_x());
  }

  /// Begins where the first pass ended: the newest is in L2 still.
  BRUME_DEVICE void second_pass(int first_job) const {
    const int chunk = plan_.chunks - 1 - block_x();
    const GroupNormWork work = group_norm_work(params_, plan_, first_job + block_y(), chunk);
    settle(work);
    block_barrier();
    for (int column = work.column; column < work.columns; column += work.width) {
      const Column here(params_, work, column);
      const Line line(*this, here);
      for_each_read<kSecondReads>(here, work.visits,
                                  [&](int i, const Values& values) { here.store(i, line(values)); });
    }
  }

 private:
  static constexpr int kStages = 4;  // of copies on their way while the earlier are counted
  // Reads that a thread has on their way; the second pass needs its registers, and L2 is near.
  static constexpr int kFirstReads = 4;
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

  template <int kInFlight, class Use>
  BRUME_DEVICE void for_each_read(const Column& column, int visits, const Use& use) const {
    for (int first = 0; first < visits; first += kInFlight) {
      Values values[kInFlight];
      BRUME_UNROLL
      for (int i = 0; i < kInFlight; ++i) {
        if (first + i < visits) values[i] = load_global<Values>(column.from(first + i));
      }
      BRUME_UNROLL
      for (int i = 0; i < kInFlight; ++i) {
        if (first + i < visits) use(first + i, values[i]);
      }
    }
  }

  /// Brings a column on chip, from `slot` on, and adds up its moments.
  BRUME_DEVICE void keep(const Column& column, int visits, int slot, Moments& low, Moments& high) const {
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
      for_each_read<kFirstReads>(column, visits, [&](int i, const Values& values) {
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

  /// The block's moments of a group, by one warp.
  BRUME_DEVICE Moments block_moments(const GroupNormWork& work, int group) const {
    const int group_channels = params_.shape.channels / params_.shape.groups;
    // Where there are more columns than threads, the slice is a single group.
    const int first = group * group_channels / kVector;
    const int columns = smaller(((group + 1) * group_channels - 1) / kVector - first + 1, work.width);
    Moments sum{};
    for (int i = lane(); i < work.rows * columns; i += 32) {
      const int column = first + i % columns;
      const int span = column * kVector < group * group_channels ? 1 : 0;
      const Shared<float> place = moments_ + (span * 3 * threads() + i / columns * work.width + column);
      sum = merged(sum, {place.load(), (place + threads()).load(), (place + 2 * threads()).load()});
    }
    return merged_in_warp(sum);
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
