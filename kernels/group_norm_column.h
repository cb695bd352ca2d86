#pragma once
#include "kernels/device/device.h"
#include "kernels/group_norm_params.h"
#include "kernels/moments.h"

// What a thread of the group norm works on.
namespace brume::kernels::device {

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

  /// Brings nearer what is read only when the moments are known.
  BRUME_DEVICE void prefetch() const {
    prefetch_global(static_cast<const T*>(params_.weight) + channel_);
    prefetch_global(static_cast<const T*>(params_.bias) + channel_);
    if (params_.embedding != nullptr)
      prefetch_global(static_cast<const T*>(params_.embedding) + picture_ * params_.embedding_stride +
                      channel_);
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

  /// Adds the channels before `split` to `low`, the others to `high`. Called once.
  BRUME_DEVICE void add_to(Moments& low, Moments& high, const Vector<float, kVector>& added, int split) {
    BRUME_UNROLL
    for (int i = 0; i < kVector; ++i) mean_[i] += added[i];
    low = merged(low, of_channels(0, split));
    if (split < kVector) high = merged(high, of_channels(split, kVector));
  }

 private:
  /// Of those channels together, which have all been counted as often: around the mean of their means.
  BRUME_DEVICE Moments of_channels(int first, int last) const {
    float total = 0;
    BRUME_UNROLL
    for (int i = 0; i < kVector; ++i) total += i >= first && i < last ? mean_[i] : 0.0F;
    const auto channels = static_cast<float>(last - first);
    // Of one channel it must be the mean itself: what rounding leaves would count as deviation.
    const float mean = channels == 1 ? total : total * reciprocal_fast(channels);
    float squares = 0;
    float apart = 0;
    BRUME_UNROLL
    for (int i = 0; i < kVector; ++i) {
      const bool is_in = i >= first && i < last;
      const float off = is_in ? mean_[i] - mean : 0.0F;
      squares += is_in ? squares_[i] : 0.0F;
      apart = multiply_add(off, off, apart);
    }
    return {count_ * channels, mean, multiply_add(apart, count_, squares)};
  }

  float count_ = 0;
  float mean_[kVector] = {};
  float squares_[kVector] = {};
};

}  // namespace brume::kernels::device
