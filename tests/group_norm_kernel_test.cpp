#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/group_norm_plan.h"
#include "tests/machine/machine.h"

// The group norm kernels' own source on the host body, against sums in fp64.
namespace brume::kernels::device {
namespace {

using machine::Report;
using Mode = GroupNormPlan::Mode;

constexpr double kEps = 1e-5;

template <class T>
constexpr double kUnit = 0;  // half the distance between neighbours, relative
template <>
constexpr double kUnit<float> = 0x1p-24;
template <>
constexpr double kUnit<Half> = 0x1p-11;
template <>
constexpr double kUnit<Bfloat16> = 0x1p-8;

enum class Output { kApart, kOverX };

struct Case {
  GroupNormShape shape;
  int first_channels = 0;  // of the concatenation; 0: one part
  bool embedding = false;
  NormActivation activation = NormActivation::kNone;
  double mean = 0;
  double deviation = 1;
  int gap = 0;          // elements between pixels of x that are not theirs; y and the second part have more
  int picture_gap = 0;  // the same between pictures, and embeddings
  Output output = Output::kApart;
};

std::string name_of(const Case& one) {
  const GroupNormShape& s = one.shape;
  return std::to_string(s.pictures) + "x" + std::to_string(s.pixels) + "x" + std::to_string(s.channels) +
         " groups " + std::to_string(s.groups) + " first " + std::to_string(one.first_channels) + " gaps " +
         std::to_string(one.gap) + " " + std::to_string(one.picture_gap) +
         (one.output == Output::kOverX ? " over x" : "");
}

/// Aligned room for T with gaps after every pixel and every picture, all of it not a number.
template <class T>
struct Map {
  std::vector<Vector<uint8_t, 16>> room;
  int64_t pixel_stride;
  int64_t picture_stride;

  Map(int pictures, int pixels, int channels, int gap, int picture_gap)
      : pixel_stride(channels + gap), picture_stride(pixels * pixel_stride + picture_gap) {
    room.resize(static_cast<size_t>(pictures * picture_stride) * sizeof(T) / 16 + 1);
    std::fill_n(data(), room.size() * 16 / sizeof(T), nothing());
  }
  static T nothing() { return from_float<T>(std::numeric_limits<float>::quiet_NaN()); }
  T* data() { return reinterpret_cast<T*>(room.data()); }
  T& at(int picture, int pixel, int channel) {
    return data()[picture * picture_stride + pixel * pixel_stride + channel];
  }
  /// Whether the gaps are as they were.
  bool gaps_are_untouched(const GroupNormShape& shape) {
    const auto here = [](const T& x) { return std::isnan(to_float(x)); };
    bool untouched = true;
    for (int n = 0; n < shape.pictures; ++n) {
      for (int p = 0; p < shape.pixels; ++p) {
        T* const pixel = &at(n, p, 0);
        untouched = untouched && std::all_of(pixel + shape.channels, pixel + pixel_stride, here);
      }
      T* const picture = &at(n, 0, 0);
      const int64_t pixels = shape.pixels * pixel_stride;
      untouched = untouched && std::all_of(picture + pixels, picture + picture_stride, here);
    }
    return untouched;
  }
};

template <class T>
class Experiment {
 public:
  Experiment(const Case& one, unsigned seed)
      : one_(one),
        first_(one.first_channels == 0 ? one.shape.channels : one.first_channels),
        parts_{Map<T>(one.shape.pictures, one.shape.pixels, first_, one.gap, one.picture_gap),
               Map<T>(one.shape.pictures, one.shape.pixels, one.shape.channels - first_, 2 * one.gap,
                      3 * one.picture_gap)},
        y_(one.shape.pictures, one.shape.pixels, one.shape.channels, 3 * one.gap, 2 * one.picture_gap),
        embedding_(one.shape.pictures, 1, one.shape.channels, 0, one.picture_gap),
        weight_(1, 1, one.shape.channels, 0, 0),
        bias_(1, 1, one.shape.channels, 0, 0) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    const auto draw = [&](double mean, double deviation) {
      return from_float<T>(
          static_cast<float>(std::clamp(mean + deviation * normal(random), -65504.0, 65504.0)));
    };
    for (int n = 0; n < one.shape.pictures; ++n) {
      for (int p = 0; p < one.shape.pixels; ++p) {
        for (int c = 0; c < one.shape.channels; ++c) x(n, p, c) = draw(one.mean, one.deviation);
      }
      for (int c = 0; c < one.shape.channels; ++c) embedding_.at(n, 0, c) = draw(0, one.deviation);
    }
    for (int c = 0; c < one.shape.channels; ++c) {
      weight_.at(0, 0, c) = draw(1, 0.3);
      bias_.at(0, 0, c) = draw(0, 0.3);
    }
    // What is read is compared with, also where it is written over.
    if (one.output == Output::kOverX) y_ = parts_[0];
  }

  GroupNormParams params() {
    GroupNormParams params{};
    params.shape = one_.shape;
    Map<T>& first = one_.output == Output::kOverX ? y_ : parts_[0];
    params.parts[0] = {first.data(), first_, first.pixel_stride, first.picture_stride};
    if (first_ < one_.shape.channels)
      params.parts[1] = {parts_[1].data(), one_.shape.channels - first_, parts_[1].pixel_stride,
                         parts_[1].picture_stride};
    if (one_.embedding) params.embedding = embedding_.data();
    params.embedding_stride = embedding_.picture_stride;
    params.weight = weight_.data();
    params.bias = bias_.data();
    params.y = y_.data();
    params.y_pixel_stride = y_.pixel_stride;
    params.y_picture_stride = y_.picture_stride;
    params.eps = static_cast<float>(kEps);
    params.activation = one_.activation;
    return params;
  }

  /// The largest error of y over the error that its format allows; infinite where its gaps are written to.
  double worst() {
    double worst = y_.gaps_are_untouched(one_.shape) ? 0 : std::numeric_limits<double>::infinity();
    const int width = one_.shape.channels / one_.shape.groups;
    for (int n = 0; n < one_.shape.pictures; ++n) {
      for (int g = 0; g < one_.shape.groups; ++g)
        worst = std::max(worst, worst_of_group(n, g * width, width));
    }
    return worst;
  }

 private:
  T& x(int n, int p, int c) { return c < first_ ? parts_[0].at(n, p, c) : parts_[1].at(n, p, c - first_); }
  double input(int n, int p, int c) {
    return double{to_float(x(n, p, c))} + (one_.embedding ? double{to_float(embedding_.at(n, 0, c))} : 0);
  }

  double worst_of_group(int n, int first, int width) {
    const int pixels = one_.shape.pixels;
    double mean = 0;
    double squares = 0;
    for (int p = 0; p < pixels; ++p) {
      for (int c = first; c < first + width; ++c) mean += input(n, p, c) / (double{1} * pixels * width);
    }
    for (int p = 0; p < pixels; ++p) {
      for (int c = first; c < first + width; ++c) squares += std::pow(input(n, p, c) - mean, 2);
    }
    const double root = 1 / std::sqrt(squares / (double{1} * pixels * width) + kEps);
    double worst = 0;
    for (int p = 0; p < pixels; ++p) {
      for (int c = first; c < first + width; ++c) {
        const double scale = to_float(weight_.at(0, 0, c));
        double wanted = (input(n, p, c) - mean) * root * scale + double{to_float(bias_.at(0, 0, c))};
        if (one_.activation == NormActivation::kSilu) wanted /= 1 + std::exp(-wanted);
        // fp32 knows the mean to a few of its last places, whatever T is.
        const double lost =
            4 * kUnit<float> * (std::fabs(mean) + std::fabs(input(n, p, c))) * root * std::fabs(scale);
        const double allowed = 1.01 * kUnit<T> * std::fabs(wanted) + lost + 2e-6;
        const double error = std::fabs(double{to_float(y_.at(n, p, c))} - wanted);
        worst = std::max(worst, std::isfinite(error) ? error / allowed : 1e9);
      }
    }
    return worst;
  }

  Case one_;
  int first_;
  Map<T> parts_[2];
  Map<T> y_;
  Map<T> embedding_;
  Map<T> weight_;
  Map<T> bias_;
};

/// The conflicts of a launch that gathers moments: where the groups of a slice lie side by side, the rows
/// that a warp reads of a group are a slice's width apart, and may fall on the same banks. Five reads,
/// once a chunk: count and mean, then both again and squares.
int64_t gathering_conflicts(const GroupNormParams& params, const GroupNormPlan& plan) {
  const int group_channels = params.shape.channels / params.shape.groups;
  int64_t passes = 0;
  for (int slice = 0; slice < plan.slices; ++slice) {
    const int groups = std::min(plan.slice_groups, params.shape.groups - slice * plan.slice_groups);
    const int width = std::min(groups * group_channels / plan.vector, plan.threads);
    const int rows = plan.threads / width;
    for (int group = 0; group < groups; ++group) {
      const int first = group * group_channels / plan.vector;
      const int columns = std::min(((group + 1) * group_channels - 1) / plan.vector - first + 1, width);
      for (int from = 0; from < rows * columns; from += 32) {
        std::vector<std::pair<int, int>> reads;
        for (int i = from; i < std::min(from + 32, rows * columns); ++i) {
          const int column = first + i % columns;
          const int span = column * plan.vector < group * group_channels ? 1 : 0;
          reads.emplace_back(4 * (span * 3 * plan.threads + i / columns * width + column), 4);
        }
        passes += 5 * host::extra_passes(reads);
      }
    }
  }
  return passes * plan.chunks * params.shape.pictures;
}

/// The threads' own vectors never conflict; a slice of one group has its moments side by side. Else beside
/// the gathering come the reads of two groups' statistics, and what the count makes of lanes that have a
/// pixel or a column more than others: it pairs them by the number of their access. Together fewer than four
/// passes a warp.
int64_t allowed_conflicts(const GroupNormParams& params, const GroupNormPlan& plan) {
  const int64_t warps = int64_t{plan.threads} / 32 * plan.chunks * params.shape.pictures * plan.slices;
  return gathering_conflicts(params, plan) + 4 * warps;
}

struct Workspace {
  std::vector<Vector<uint8_t, 16>> room;
  void reserve(int64_t bytes) {
    if (static_cast<int64_t>(room.size()) * 16 < bytes) room.resize(static_cast<size_t>(bytes + 15) / 16);
  }
};

/// Whether every meeting's counter is zero in the phase that comes next.
bool ready_for_replay(const Workspace& workspace) {
  bool ready = true;
  for (size_t job = 0; job < kGroupNormMostSlices; ++job) {
    const auto meeting = bits_as<Vector<unsigned, 4>>(workspace.room[job]);
    ready = ready && meeting[0] <= 1 && meeting[1 + static_cast<int>(meeting[0])] == 0;
  }
  return ready;
}

enum class Meeting { kAllowed, kRefused };

/// Runs the case and checks it. `machine` decides the mode. The workspace goes from launch to launch. `seed`
/// is that of the numbers and of the order in which warps and blocks go on; with 0 warps take turns.
template <class T>
GroupNormPlan run(const Case& one, const GroupNormMachine& machine, Workspace& workspace, unsigned seed = 1,
                  Meeting meeting = Meeting::kAllowed) {
  Experiment<T> experiment(one, seed);
  GroupNormParams params = experiment.params();
  const GroupNormAccess access = group_norm_access(params, sizeof(T));
  GroupNormPlan plan = plan_group_norm(one.shape, access, sizeof(T), machine);
  workspace.reserve(group_norm_workspace_bytes(one.shape, plan));
  if (meeting == Meeting::kRefused) plan = group_norm_without_meeting(one.shape, plan);
  params.workspace = workspace.room.data();
  const std::vector<Report> reports = machine::group_norm(params, plan, machine::element_of<T>(), seed);
  for (const Report& report : reports) {
    EXPECT_TRUE(report.faults.empty()) << report.faults.front() << " in " << name_of(one);
    EXPECT_LE(report.bank_conflicts, allowed_conflicts(params, plan)) << name_of(one);
    if (plan.slice_groups == 1 && one.shape.channels / one.shape.groups / plan.vector <= plan.threads) {
      EXPECT_EQ(report.bank_conflicts, 0) << name_of(one);
    }
  }
  EXPECT_LT(experiment.worst(), 1) << name_of(one);
  EXPECT_TRUE(ready_for_replay(workspace)) << name_of(one);
  return plan;
}

/// A small machine whose blocks must meet about nearly any map, and one with no room on chip.
constexpr GroupNormMachine kMeeting{
    .multiprocessors = 8, .shared_bytes = 24 << 10, .l2_bytes = 1 << 20, .most_threads = 64};
constexpr GroupNormMachine kNarrow{
    .multiprocessors = 2, .shared_bytes = 0, .l2_bytes = 16 << 10, .most_threads = 64};

template <class T>
class GroupNormKernel : public testing::Test {};
using Types = testing::Types<float, Half, Bfloat16>;
TYPED_TEST_SUITE(GroupNormKernel, Types);

TYPED_TEST(GroupNormKernel, EveryGroupWidth) {
  Workspace workspace;
  for (int width = 1; width <= 160; ++width) {
    Case one{.shape = {1 + width % 2, 1 + width % 13, 4 * width, 4}};
    run<TypeParam>(one, width % 3 == 0 ? kNarrow : kMeeting, workspace, static_cast<unsigned>(width));
  }
}

TYPED_TEST(GroupNormKernel, RandomShapes) {
  Workspace workspace;
  std::mt19937 random(7);
  std::mt19937 random_gaps(7);  // of their own, so that a gap more draws no other shapes
  const auto draw = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
  constexpr int kMaps[] = {1, 35, 117, 64, 2, 143, 300};
  constexpr int kWidths[] = {1, 2, 3, 4, 5, 7, 8, 10, 12, 16, 20, 30, 40, 60};
  int meeting = 0;
  int passes = 0;
  int vectors = 0;
  for (int i = 0; i < 60; ++i) {
    const int groups = 1 + draw(8);
    Case one{.shape = {1 + draw(3), kMaps[draw(7)], groups * kWidths[draw(14)], groups}};
    one.first_channels = draw(2) == 0 ? 0 : one.shape.channels * (1 + draw(3)) / 4;
    one.embedding = draw(2) == 0;
    one.activation = draw(2) == 0 ? NormActivation::kNone : NormActivation::kSilu;
    const int places = draw(3);
    const int unit = draw(2) == 0 ? 8 : 1;
    one.gap = places * unit;
    one.picture_gap = static_cast<int>(random_gaps() % 3) * unit;
    const GroupNormPlan plan =
        run<TypeParam>(one, i % 3 == 0 ? kNarrow : kMeeting, workspace, static_cast<unsigned>(i));
    meeting += group_norm_meets(plan) ? 1 : 0;
    passes += plan.mode == Mode::kTwoPasses ? 1 : 0;
    vectors += plan.vector > 1 ? 1 : 0;
  }
  EXPECT_GT(meeting, 5);
  EXPECT_GT(passes, 5);
  EXPECT_GT(vectors, 5);
}

TYPED_TEST(GroupNormKernel, MoreColumnsThanThreads) {
  Workspace workspace;
  const Case vectors{.shape = {2, 5, 1280, 1}, .embedding = true};
  const Case scalars{.shape = {1, 35, 321, 1}, .first_channels = 100};
  for (const GroupNormMachine& machine : {kMeeting, kNarrow}) {
    EXPECT_GT(run<TypeParam>(vectors, machine, workspace).vector, 1);
    EXPECT_EQ(run<TypeParam>(scalars, machine, workspace).vector, 1);
  }
}

TYPED_TEST(GroupNormKernel, AMeanFarFromZeroDoesNotCancel) {
  Workspace workspace;
  Case one{.shape = {1, 1000, 40, 4}, .mean = 1000, .deviation = 1};
  for (const GroupNormMachine& machine : {kMeeting, kNarrow}) run<TypeParam>(one, machine, workspace);
  // A first value that lies apart from all others.
  one.mean = 20000;
  one.deviation = 0.01;
  if (std::is_same_v<TypeParam, float>) run<TypeParam>(one, kMeeting, workspace);
}

TYPED_TEST(GroupNormKernel, ValuesNearTheEndOfHalf) {
  Workspace workspace;
  for (const GroupNormMachine& machine : {kMeeting, kNarrow}) {
    const Case one{.shape = {1, 117, 80, 8}, .activation = NormActivation::kSilu, .deviation = 16000};
    run<TypeParam>(one, machine, workspace);
  }
}

TYPED_TEST(GroupNormKernel, EqualValuesGiveTheBias) {
  Workspace workspace;
  for (const GroupNormMachine& machine : {kMeeting, kNarrow})
    run<TypeParam>({.shape = {1, 117, 40, 4}, .mean = 3, .deviation = 0}, machine, workspace);
}

/// The workspace is left as a replay needs it, whatever came before.
TYPED_TEST(GroupNormKernel, TheSameWorkspaceServesManyLaunches) {
  Workspace workspace;
  workspace.reserve(1 << 20);
  const Case one{.shape = {2, 300, 80, 8}};
  const Case other{.shape = {1, 117, 160, 4}};
  for (unsigned i = 0; i < 8; ++i) {
    EXPECT_TRUE(group_norm_meets(run<TypeParam>(one, kMeeting, workspace, i)));
    EXPECT_TRUE(group_norm_meets(run<TypeParam>(other, kMeeting, workspace, i)));
  }
}

TYPED_TEST(GroupNormKernel, TwoPassesTakeOverInTheSameWorkspace) {
  for (const Case& one : {Case{.shape = {2, 300, 80, 8}}, Case{.shape = {1, 117, 160, 4}, .gap = 4},
                          Case{.shape = {1, 117, 120, 4}, .embedding = true}}) {
    Workspace workspace;
    EXPECT_TRUE(group_norm_meets(run<TypeParam>(one, kMeeting, workspace)));
    EXPECT_EQ(run<TypeParam>(one, kMeeting, workspace, 2, Meeting::kRefused).mode, Mode::kTwoPasses);
    EXPECT_TRUE(group_norm_meets(run<TypeParam>(one, kMeeting, workspace, 3)));
  }
}

/// As on a large GPU, whose blocks are many, and more than the lanes of the warp that joins their moments.
TYPED_TEST(GroupNormKernel, ManyChunks) {
  Workspace workspace;
  GroupNormMachine large{
      .multiprocessors = 132, .shared_bytes = 24 << 10, .l2_bytes = 1 << 20, .most_threads = 32};
  const Case one{.shape = {1, 4 * (32 / static_cast<int>(sizeof(TypeParam))) * 70, 16, 1}};
  const GroupNormPlan meets = run<TypeParam>(one, large, workspace);
  EXPECT_TRUE(group_norm_meets(meets));
  EXPECT_GT(meets.chunks, 64);
  large.shared_bytes = 0;
  const GroupNormPlan passes = run<TypeParam>(one, large, workspace);
  EXPECT_EQ(passes.mode, Mode::kTwoPasses);
  EXPECT_GT(passes.chunks, 64);
}

/// As many as a GPU's blocks have.
TYPED_TEST(GroupNormKernel, ManyThreads) {
  Workspace workspace;
  GroupNormMachine wide{.multiprocessors = 1, .shared_bytes = 227 << 10, .l2_bytes = 1 << 20};
  const Case one{.shape = {1, 2200, 32, 2}, .embedding = true};
  const GroupNormPlan meets = run<TypeParam>(one, wide, workspace);
  EXPECT_TRUE(group_norm_meets(meets));
  EXPECT_EQ(meets.threads, 512);
  wide.shared_bytes = 0;
  const GroupNormPlan passes = run<TypeParam>(one, wide, workspace);
  EXPECT_EQ(passes.mode, Mode::kTwoPasses);
  EXPECT_EQ(passes.threads, 512);
}

TYPED_TEST(GroupNormKernel, TheResultMayLieOverX) {
  Workspace workspace;
  for (const int gap : {0, 8, 1}) {
    Case one{.shape = {2, 300, 80, 8}, .gap = gap, .picture_gap = gap, .output = Output::kOverX};
    EXPECT_TRUE(group_norm_meets(run<TypeParam>(one, kMeeting, workspace)));
    EXPECT_EQ(run<TypeParam>(one, kNarrow, workspace).mode, Mode::kTwoPasses);
    one.shape.pixels = 2;
    EXPECT_EQ(run<TypeParam>(one, kMeeting, workspace).chunks, 1);
  }
}

TYPED_TEST(GroupNormKernel, NoElementsAreNoLaunch) {
  for (const Report& report : machine::group_norm({}, {}, machine::element_of<TypeParam>(), 0))
    EXPECT_TRUE(report.faults.empty()) << report.faults.front();
}

TEST(GroupNormAccess, NeedsEveryPlaceAligned) {
  const auto access = [](const Case& one) {
    Experiment<Half> experiment(one, 1);
    return group_norm_access(experiment.params(), 2);
  };
  EXPECT_EQ(access({.shape = {1, 4, 320, 32}}), GroupNormAccess::kVectors);
  EXPECT_EQ(access({.shape = {1, 4, 320, 32}, .gap = 8}), GroupNormAccess::kVectors);
  EXPECT_EQ(access({.shape = {1, 4, 320, 32}, .gap = 4}), GroupNormAccess::kScalars);
  EXPECT_EQ(access({.shape = {2, 4, 320, 32}, .picture_gap = 8}), GroupNormAccess::kVectors);
  EXPECT_EQ(access({.shape = {2, 4, 320, 32}, .picture_gap = 4}), GroupNormAccess::kScalars);
  EXPECT_EQ(access({.shape = {1, 4, 320, 32}, .first_channels = 160}), GroupNormAccess::kVectors);
  EXPECT_EQ(access({.shape = {1, 4, 320, 32}, .first_channels = 100}), GroupNormAccess::kScalars);
  EXPECT_EQ(access({.shape = {1, 4, 128, 32}}), GroupNormAccess::kVectors);
  EXPECT_EQ(access({.shape = {1, 4, 96, 32}}), GroupNormAccess::kScalars);
  EXPECT_EQ(access({.shape = {1, 4, 36, 4}}), GroupNormAccess::kScalars);
  EXPECT_EQ(access({.shape = {1, 4, 56, 8}}), GroupNormAccess::kVectors);
}

}  // namespace
}  // namespace brume::kernels::device
