#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include "kernels/attention_hopper_launch.h"
#include "tests/attention_problem.h"

// The Hopper attention kernel on a GPU of compute capability 9.0, against the formulas that judge its source
// on the CPU. Not part of the build, which needs no CUDA. By hand: attention_hopper.cu with nvcc for sm_90a
// and attention.cu for sm_90 (-std=c++20 --expt-relaxed-constexpr -O3 -I.), this file with g++ and CUDA's
// headers, linked with brume_host_grid, brume_plain, boost_context, gtest_main and cudart_static.
namespace brume::kernels {
namespace {

using device::Bfloat16;
using device::Half;

constexpr GpuLimits kH200{132, 227 * 1024, 228 * 1024};
constexpr ComputeCapability kHopper{9, 0};

bool has_hopper() {
  int major = 0;
  return cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess && major == 9;
}

/// A tensor's copy on the device.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(Packed<T>& tensor) : tensor_(tensor), bytes_(tensor.storage.size() * sizeof(T)) {
    EXPECT_EQ(cudaMalloc(&place_, bytes_), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(place_, tensor.storage.data(), bytes_, cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~OnDevice() { cudaFree(place_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  T* first() { return static_cast<T*>(place_) + tensor_.offset; }
  void fetch() {
    EXPECT_EQ(cudaMemcpy(tensor_.storage.data(), place_, bytes_, cudaMemcpyDeviceToHost), cudaSuccess);
  }

 private:
  Packed<T>& tensor_;
  size_t bytes_;
  void* place_ = nullptr;
};

template <class T>
constexpr HalfType half_type() {
  return std::is_same_v<T, Half> ? HalfType::kFp16 : HalfType::kBf16;
}

/// Runs the problem; gives the mean time of `rounds` more runs in milliseconds.
template <class T>
float run(Problem<T>& problem, const auto& launch, int rounds = 0) {
  OnDevice<T> q(problem.q);
  OnDevice<T> k(problem.k);
  OnDevice<T> v(problem.v);
  OnDevice<T> out(problem.out);
  AttentionParams params = problem.params();
  params.q = q.first();
  params.k = k.first();
  params.v = v.first();
  params.out = out.first();
  EXPECT_EQ(launch(params), 0);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  out.fetch();
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  cudaEventRecord(begin, nullptr);
  for (int i = 0; i < rounds; ++i) launch(params);
  cudaEventRecord(end, nullptr);
  cudaEventSynchronize(end);
  float total = 0;
  cudaEventElapsedTime(&total, begin, end);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return rounds == 0 ? 0 : total / static_cast<float>(rounds);
}

template <class T>
void expect_right(const AttentionShape& shape) {
  SCOPED_TRACE(testing::Message() << "d " << shape.head_dim << ", " << shape.batch << "x" << shape.heads
                                  << ", " << shape.queries << " queries, " << shape.keys << " keys");
  Problem<T> problem(shape);
  problem.fill(static_cast<uint32_t>(shape.queries * 1000 + shape.keys), 1);
  AttentionShape long_one = shape;
  long_one.keys = 4096;  // never resident
  const HopperAttentionPlan plan = *plan_attention_hopper(long_one, kH200, kHopper);
  run(problem, [&](const AttentionParams& params) {
    return launch_attention_hopper(params, shape, plan, half_type<T>(), nullptr);
  });
  EXPECT_LT(problem.worst_error(), kMostUnits);
}

TEST(AttentionHopperGpu, IsRightForAnyLength) {
  if (!has_hopper()) GTEST_SKIP() << "no GPU of compute capability 9.0";
  std::mt19937 random(1);
  const auto pick = [&](int most) { return std::uniform_int_distribution<int>(1, most)(random); };
  for (const int head_dim : {40, 64, 80, 128, 160}) {
    expect_right<Half>({1, 1, 1, 1, head_dim});
    expect_right<Half>({1, 1, 64, 4096, head_dim});
    for (int round = 0; round < 10; ++round) {
      expect_right<Half>({pick(3), pick(2), pick(300), pick(900), head_dim});
      expect_right<Bfloat16>({pick(3), pick(2), pick(300), pick(900), head_dim});
    }
  }
}

TEST(AttentionHopperGpu, Times) {
  if (!has_hopper()) GTEST_SKIP() << "no GPU of compute capability 9.0";
  constexpr int kRounds = 50;
  for (const AttentionShape& shape : {AttentionShape{2, 8, 4096, 4096, 40},
                                      {2, 10, 4096, 4096, 64},
                                      {2, 20, 1024, 1024, 64},
                                      {2, 8, 1024, 1024, 80},
                                      {2, 16, 4096, 4096, 128},
                                      {2, 8, 256, 256, 160}}) {
    Problem<Half> problem(shape);
    problem.fill(1, 1);
    const HopperAttentionPlan plan = *plan_attention_hopper(shape, kH200, kHopper);
    const AttentionPlan other = *plan_attention(shape, kH200);
    const float ours = run(
        problem,
        [&](const AttentionParams& params) {
          return launch_attention_hopper(params, shape, plan, HalfType::kFp16, nullptr);
        },
        kRounds);
    const float before = run(
        problem,
        [&](const AttentionParams& params) {
          return launch_attention(params, shape, other, HalfType::kFp16, nullptr);
        },
        kRounds);
    const double products = 4.0 * shape.batch * shape.heads * shape.queries * shape.keys * shape.head_dim;
    std::printf("d %3d, %2d x %5d: %.4f ms, %.0f TFLOP/s; mma.sync %.4f ms\n", shape.head_dim,
                shape.batch * shape.heads, shape.keys, ours, products / ours / 1e9, before);
  }
}

}  // namespace
}  // namespace brume::kernels
