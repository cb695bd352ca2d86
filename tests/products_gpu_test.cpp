#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/gpu/convolution.h"
#include "kernels/gpu/convolution_tuning.h"
#include "kernels/gpu/linear.h"
#include "kernels/gpu/plan_store.h"
#include "kernels/gpu/scratch.h"
#include "tests/skip_all.h"
#include "tests/temporary_directory.h"

// The fused products against PyTorch's in float64 on the CPU. Every problem is measured first, which takes up
// to two seconds, so the shapes are picked instead of crossed.
namespace brume::kernels::gpu {
namespace {

class NeedsGpu : public testing::Environment {
 public:
  void SetUp() override {
    if (at::cuda::device_count() == 0) skip_all("no GPU", "BRUME_REQUIRE_GPU");
  }
};

[[maybe_unused]] const auto* const kNeedsGpu = testing::AddGlobalTestEnvironment(new NeedsGpu);

/// The optional operands.
enum Extras : unsigned { kPlain = 0, kBias = 1, kResidual = 2, kRelu = 4 };

struct ConvolutionCase {
  at::ScalarType dtype;
  int64_t batch, channels, height, width;
  int64_t filters, kernel, stride, padding;
  unsigned extras;
};

constexpr auto kHalf = at::kHalf;
constexpr auto kBFloat16 = at::kBFloat16;

const std::vector<ConvolutionCase> kConvolutions = {
    {kHalf, 1, 4, 17, 13, 320, 3, 1, 1, kBias},
    {kHalf, 2, 320, 9, 7, 4, 3, 1, 1, kBias},
    {kHalf, 1, 320, 16, 16, 3, 3, 1, 1, kBias},
    {kHalf, 2, 3, 15, 11, 32, 3, 1, 1, kBias | kRelu},
    {kHalf, 1, 8, 16, 16, 8, 3, 1, 1, kPlain},
    {kHalf, 1, 32, 11, 9, 32, 3, 1, 1, kRelu},
    {kHalf, 2, 320, 16, 16, 320, 3, 1, 1, kBias},
    {kHalf, 2, 320, 16, 16, 320, 3, 1, 1, kBias | kResidual},
    {kHalf, 1, 320, 16, 16, 320, 3, 1, 1, kResidual},
    {kHalf, 1, 320, 33, 31, 320, 3, 1, 1, kBias},
    {kHalf, 3, 640, 7, 9, 320, 1, 1, 0, kBias},
    {kHalf, 1, 640, 8, 8, 640, 1, 1, 0, kPlain},
    {kHalf, 2, 320, 17, 15, 320, 3, 2, 1, kBias},
    {kHalf, 1, 32, 16, 16, 640, 3, 2, 0, kBias},
    {kHalf, 1, 64, 15, 15, 64, 2, 2, 0, kPlain},
    {kHalf, 2, 64, 16, 16, 64, 2, 1, 1, kBias},
    {kHalf, 2, 64, 16, 16, 64, 3, 1, 1, kBias | kResidual | kRelu},
    {kHalf, 1, 4, 8, 8, 4, 1, 1, 0, kBias},
    {kBFloat16, 1, 4, 17, 13, 320, 3, 1, 1, kBias},
    {kBFloat16, 2, 320, 9, 7, 4, 3, 1, 1, kBias},
    {kBFloat16, 2, 320, 16, 16, 320, 3, 1, 1, kBias | kResidual},
    {kBFloat16, 3, 640, 7, 9, 320, 1, 1, 0, kBias},
    {kBFloat16, 1, 64, 15, 15, 64, 3, 2, 1, kBias | kResidual | kRelu},
};

/// A tensor of halves on the CPU, normal with this deviation.
at::Tensor random(at::IntArrayRef sizes, at::ScalarType dtype, double deviation = 1) {
  return (at::randn(sizes, at::kFloat) * deviation).to(dtype);
}

std::optional<at::Tensor> on_gpu(const std::optional<at::Tensor>& tensor) {
  return tensor ? std::optional(tensor->cuda()) : std::nullopt;
}

/// Operands on the CPU, and the product by PyTorch.
struct Operands {
  at::Tensor x;
  at::Tensor weight;
  std::optional<at::Tensor> bias;
  std::optional<at::Tensor> residual;
};

/// A product of two tensors, whatever their type.
using Product = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& weight)>;

/// Whether `y` is as near to the exact result as roundings of its type allow: one of each of at most three
/// steps (the unfused calls), and sums in fp32, whose error grows with the summands.
void expect_near(const at::Tensor& y, const Operands& operands, const at::Tensor& bias,
                 const Product& product, bool relu = false) {
  const double unit = operands.x.scalar_type() == kHalf ? std::ldexp(1, -11) : std::ldexp(1, -8);
  const at::Tensor x = operands.x.to(at::kDouble);
  const at::Tensor weight = operands.weight.to(at::kDouble);
  const at::Tensor plain = product(x, weight);
  at::Tensor expected = plain;
  at::Tensor steps = 3 * plain.abs();
  if (bias.defined()) {
    expected = expected + bias.to(at::kDouble);
    steps = steps + 2 * bias.to(at::kDouble).abs();
  }
  if (operands.residual) {
    expected = expected + operands.residual->to(at::kDouble);
    steps = steps + 2 * operands.residual->to(at::kDouble).abs();
  }
  if (relu) expected = expected.relu();
  const at::Tensor sums = product(x.abs(), weight.abs()) * std::ldexp(1, -18);
  const at::Tensor allowed = steps * unit + sums + 1e-7;  // subnormal halves lie 6e-8 apart
  const at::Tensor error = (y.cpu().to(at::kDouble) - expected).abs();
  ASSERT_EQ(y.sizes(), expected.sizes());
  EXPECT_TRUE(at::isfinite(y.cpu()).all().item<bool>());
  EXPECT_LE((error / allowed).max().item<double>(), 1.0);
}

std::string name_of(const ConvolutionCase& c) {
  return std::string(c.dtype == kHalf ? "fp16 " : "bf16 ") + std::to_string(c.batch) + "x" +
         std::to_string(c.channels) + "x" + std::to_string(c.height) + "x" + std::to_string(c.width) + " " +
         std::to_string(c.filters) + " filters " + std::to_string(c.kernel) + " stride " +
         std::to_string(c.stride) + " padding " + std::to_string(c.padding) + " extras " +
         std::to_string(c.extras);
}

/// A convolution of random operands, here and on the GPU.
class ConvolutionWork {
 public:
  explicit ConvolutionWork(const ConvolutionCase& c) : case_(c) {
    at::manual_seed(17);
    options_ = {.stride = c.stride,
                .padding = c.padding,
                .activation = (c.extras & kRelu) != 0 ? Activation::kRelu : Activation::kNone};
    const auto summands = static_cast<double>(c.channels * c.kernel * c.kernel);
    cpu_.x = random({c.batch, c.channels, c.height, c.width}, c.dtype);
    cpu_.weight = random({c.filters, c.channels, c.kernel, c.kernel}, c.dtype, 1 / std::sqrt(summands));
    if ((c.extras & kBias) != 0) cpu_.bias = random({c.filters}, c.dtype);
    const auto out = [&](int64_t size) { return (size + 2 * c.padding - c.kernel) / c.stride + 1; };
    if ((c.extras & kResidual) != 0)
      cpu_.residual = random({c.batch, c.filters, out(c.height), out(c.width)}, c.dtype);
    constexpr auto kLast = at::MemoryFormat::ChannelsLast;
    gpu_ = {cpu_.x.cuda().contiguous(kLast), cpu_.weight.cuda().contiguous(kLast), on_gpu(cpu_.bias),
            std::nullopt};
    if (cpu_.residual) gpu_.residual = cpu_.residual->cuda().contiguous(kLast);
  }

  at::Tensor operator()() const {
    return convolution(gpu_.x, gpu_.weight, gpu_.bias, gpu_.residual, options_);
  }
  ConvolutionOperands operands() const { return {gpu_.x, gpu_.weight, gpu_.bias, gpu_.residual}; }
  ConvolutionProblem problem() const { return convolution_problem(operands(), options_); }

  void expect_near_exact(const at::Tensor& y) const {
    const Product product = [this](const at::Tensor& x, const at::Tensor& weight) {
      return at::conv2d(x, weight, {}, case_.stride, case_.padding);
    };
    const at::Tensor bias = cpu_.bias ? cpu_.bias->view({1, -1, 1, 1}) : at::Tensor();
    expect_near(y, cpu_, bias, product, options_.activation == Activation::kRelu);
    EXPECT_TRUE(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  }

 private:
  ConvolutionCase case_;
  ConvolutionOptions options_;
  Operands cpu_;
  Operands gpu_;
};

struct LinearCase {
  at::ScalarType dtype;
  std::vector<int64_t> sizes;  // of x
  int64_t out;
  unsigned extras;
};

const std::vector<LinearCase> kLinears = {
    {kHalf, {2, 77, 768}, 320, kPlain},
    {kHalf, {2, 256, 320}, 320, kBias},
    {kHalf, {2, 256, 320}, 320, kBias | kResidual},
    {kHalf, {1, 64, 640}, 640, kResidual},
    {kHalf, {2, 320}, 1280, kBias},
    {kHalf, {1280}, 320, kBias},
    {kHalf, {3, 5, 7}, 9, kBias | kResidual},
    {kHalf, {13, 4}, 3, kBias},
    {kHalf, {9, 36}, 12, kPlain},
    {kBFloat16, {2, 77, 768}, 320, kPlain},
    {kBFloat16, {2, 256, 320}, 640, kBias | kResidual},
    {kBFloat16, {3, 5, 7}, 9, kBias | kResidual},
};

/// A matrix product of random operands, here and on the GPU.
class LinearWork {
 public:
  explicit LinearWork(const LinearCase& c) {
    at::manual_seed(17);
    const int64_t in = c.sizes.back();
    std::vector<int64_t> result = c.sizes;
    result.back() = c.out;
    cpu_.x = random(c.sizes, c.dtype);
    cpu_.weight = random({c.out, in}, c.dtype, 1 / std::sqrt(static_cast<double>(in)));
    if ((c.extras & kBias) != 0) cpu_.bias = random({c.out}, c.dtype);
    if ((c.extras & kResidual) != 0) cpu_.residual = random(result, c.dtype);
    gpu_ = {cpu_.x.cuda(), cpu_.weight.cuda(), on_gpu(cpu_.bias), on_gpu(cpu_.residual)};
  }

  at::Tensor operator()() const { return linear(gpu_.x, gpu_.weight, gpu_.bias, gpu_.residual); }
  /// Of an x that begins one element behind an aligned address.
  at::Tensor unaligned() const {
    const at::Tensor x = at::empty({gpu_.x.numel() + 1}, gpu_.x.options()).narrow(0, 1, gpu_.x.numel());
    x.copy_(gpu_.x.reshape({-1}));
    return linear(x.view(gpu_.x.sizes()), gpu_.weight, gpu_.bias, gpu_.residual);
  }

  void expect_near_exact(const at::Tensor& y) const {
    const Product product = [](const at::Tensor& x, const at::Tensor& weight) {
      return at::linear(x, weight);
    };
    expect_near(y, cpu_, cpu_.bias.value_or(at::Tensor()), product);
    EXPECT_TRUE(y.is_contiguous());
  }

 private:
  Operands cpu_;
  Operands gpu_;
};

/// What a captured graph of `work` leaves, started twice.
template <typename Work>
at::Tensor replayed(const Work& work) {
  const c10::cuda::CUDAStreamGuard on_stream(c10::cuda::getStreamFromPool());
  c10::cuda::device_synchronize();
  at::cuda::CUDAGraph graph;
  graph.capture_begin();
  const at::Tensor y = work();
  graph.capture_end();
  for (int i = 0; i < 2; ++i) {
    y.zero_();
    graph.replay();
  }
  const at::Tensor result = y.clone();
  c10::cuda::device_synchronize();
  return result;
}

template <typename Work, typename Case>
void expect_right(const Case& c) {
  const Work work(c);
  const at::Tensor y = work();
  work.expect_near_exact(y);
  EXPECT_TRUE(at::equal(y, work())) << "the second call differs";
  EXPECT_TRUE(at::equal(y, replayed(work))) << "the captured call differs";
}

TEST(GpuConvolution, IsNearTheExactOne) {
  for (const ConvolutionCase& c : kConvolutions) {
    SCOPED_TRACE(name_of(c));
    expect_right<ConvolutionWork>(c);
  }
}

TEST(GpuConvolution, IsRightWhereFirstMetUnderCapture) {
  const ConvolutionWork work({kHalf, 1, 32, 12, 10, 64, 3, 1, 1, kBias | kResidual});
  work.expect_near_exact(replayed(work));
  work.expect_near_exact(work());
}

TEST(GpuConvolution, TakesOperandsOfOtherLayouts) {
  const ConvolutionWork work({kHalf, 2, 32, 9, 11, 64, 3, 1, 1, kBias | kResidual});
  const ConvolutionOperands operands = work.operands();
  const ConvolutionOptions options{.stride = 1, .padding = 1, .activation = Activation::kNone};
  const at::Tensor y = convolution(operands.x.contiguous(), operands.weight.contiguous(), operands.bias,
                                   operands.residual->contiguous(), options);
  EXPECT_TRUE(at::equal(y, work()));
  work.expect_near_exact(y);
}

TEST(GpuConvolution, TakesUnalignedOperands) {
  const ConvolutionWork work({kHalf, 1, 32, 9, 11, 64, 3, 1, 1, kBias});
  ConvolutionOperands operands = work.operands();
  const at::Tensor room = at::empty({operands.bias->numel() + 1}, operands.bias->options());
  const at::Tensor bias = room.narrow(0, 1, operands.bias->numel());
  bias.copy_(*operands.bias);
  const ConvolutionOptions options{.stride = 1, .padding = 1, .activation = Activation::kNone};
  work.expect_near_exact(convolution(operands.x, operands.weight, bias, std::nullopt, options));
}

TEST(GpuConvolution, RefusesOperandsThatDoNotFit) {
  const at::Tensor x = at::zeros({1, 8, 4, 4}, at::TensorOptions(at::kCUDA).dtype(at::kHalf));
  const at::Tensor weight = at::zeros({8, 4, 3, 3}, x.options());
  EXPECT_THROW(convolution(x, weight, std::nullopt, std::nullopt, {}), std::runtime_error);
  EXPECT_THROW(convolution(x.cpu(), weight, std::nullopt, std::nullopt, {}), std::runtime_error);
}

// The shapes that matter, in which a fused kernel is the fastest (on an H100 by a fifth); what was measured
// is said for whoever reads it.
TEST(GpuConvolution, IsFusedInAUNet) {
  for (const unsigned extras : {unsigned{kBias}, unsigned{kBias | kResidual}}) {
    for (const ConvolutionCase& c : {ConvolutionCase{kHalf, 2, 320, 64, 64, 320, 3, 1, 1, extras},
                                     ConvolutionCase{kHalf, 2, 1280, 16, 16, 1280, 3, 1, 1, extras}}) {
      const ConvolutionWork work(c);
      const TunedConvolution tuned = tuned_convolution(work.problem(), work.operands());
      EXPECT_NE(tuned.choice.plan, nullptr) << tuned.stored;
      std::cout << work.problem().text() << ": " << tuned.stored << '\n';
    }
  }
}

TEST(GpuConvolution, RestoresAStoredPlan) {
  const ConvolutionWork work({kHalf, 2, 64, 24, 24, 64, 3, 1, 1, kBias});
  const ConvolutionProblem problem = work.problem();
  const ConvolutionOperands operands = work.operands();
  const TunedConvolution tuned = tuned_convolution(problem, operands);
  const auto restored = restored_convolution(problem, tuned.stored);
  ASSERT_TRUE(restored) << tuned.stored;
  ASSERT_EQ(restored->plan == nullptr, tuned.choice.plan == nullptr);
  if (restored->plan == nullptr) GTEST_SKIP() << "the unfused calls are the fastest here";
  const at::Tensor first = empty_result(problem, operands.x);
  const at::Tensor second = empty_result(problem, operands.x);
  (*tuned.choice.plan)(operands, first);
  (*restored->plan)(operands, second);
  EXPECT_TRUE(at::equal(first, second));
  for (const char* const text : {"", "x", "99999999", "0 1", "0 1=", "0 1=2=3", "-1 2=3"})
    EXPECT_FALSE(restored_convolution(problem, text)) << text;
}

TEST(GpuLinear, IsNearTheExactOne) {
  for (const LinearCase& c : kLinears) {
    SCOPED_TRACE(at::str(at::IntArrayRef(c.sizes), " -> ", c.out, ", extras ", c.extras));
    expect_right<LinearWork>(c);
  }
}

TEST(GpuLinear, IsRightWhereFirstMetUnderCapture) {
  const LinearWork work({kHalf, {3, 40, 96}, 160, kBias | kResidual});
  work.expect_near_exact(replayed(work));
  work.expect_near_exact(work());
}

TEST(GpuLinear, TakesUnalignedOperands) {
  for (const LinearCase& c :
       {LinearCase{kHalf, {8, 64}, 32, kBias}, LinearCase{kBFloat16, {6, 9}, 7, kResidual}}) {
    const LinearWork work(c);
    work.expect_near_exact(work.unaligned());
  }
}

TEST(GpuLinear, RefusesOperandsThatDoNotFit) {
  const at::Tensor x = at::zeros({2, 8}, at::TensorOptions(at::kCUDA).dtype(at::kHalf));
  const at::Tensor weight = at::zeros({8, 4}, x.options());
  EXPECT_THROW(linear(x, weight, std::nullopt, std::nullopt), std::runtime_error);
}

using GpuPlans = TemporaryDirectory;

/// Memsets of a graph.
int memsets_of(cudaGraph_t graph) {
  size_t count = 0;
  EXPECT_EQ(cudaGraphGetNodes(graph, nullptr, &count), cudaSuccess);
  std::vector<cudaGraphNode_t> nodes(count);
  EXPECT_EQ(cudaGraphGetNodes(graph, nodes.data(), &count), cudaSuccess);
  return static_cast<int>(std::count_if(nodes.begin(), nodes.end(), [](cudaGraphNode_t node) {
    cudaGraphNodeType type{};
    return cudaGraphNodeGetType(node, &type) == cudaSuccess && type == cudaGraphNodeTypeMemset;
  }));
}

/// SDXL's: many of the kernels that are taken for them count in scratch memory.
TEST(RecordedProducts, AreTheSameWithTheirScratchZeroedAtOnce) {
  const auto half = at::TensorOptions(at::kCUDA).dtype(kHalf);
  const std::vector<std::pair<int64_t, int64_t>> layers{{640, 1920}, {1920, 5120}, {5120, 640}, {640, 10240}};
  std::vector<at::Tensor> weights;
  for (const auto& [in, out] : layers) weights.push_back(at::randn({out, in}, half) / std::sqrt(in));
  const at::Tensor x = at::empty({2048, 640}, half);
  at::Tensor y;
  const auto work = [&] {
    y = x;
    for (const at::Tensor& weight : weights) y = linear(y, weight, {}, {});
  };
  const auto recorded = [&](bool at_once, at::cuda::CUDAGraph& graph) {
    auto all = std::make_unique<Scratch>(x.device());
    const c10::cuda::CUDAStreamGuard on_side(at::cuda::getStreamFromPool());
    work();  // measures
    at::cuda::device_synchronize();
    graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    work();
    graph.capture_end();
    all->close();
    const int before = memsets_of(graph.raw_cuda_graph());
    if (at_once) all->zero_at_once(graph.raw_cuda_graph());
    const int after = memsets_of(graph.raw_cuda_graph());
    EXPECT_LE(after, at_once ? std::min(before, 1) : before);
    std::cout << "memsets: " << before << ", then " << after << '\n';
    graph.instantiate();
    return std::pair(std::move(all), y);
  };
  at::cuda::CUDAGraph plain(/*keep_graph=*/true);
  at::cuda::CUDAGraph gathered(/*keep_graph=*/true);
  const auto one = recorded(false, plain);
  const auto other = recorded(true, gathered);
  for (int round = 0; round < 5; ++round) {
    x.normal_();
    plain.replay();
    gathered.replay();
    gathered.replay();
    EXPECT_TRUE(one.second.equal(other.second)) << round;
    EXPECT_TRUE(at::isfinite(other.second).all().item<bool>());
  }
}

TEST_F(GpuPlans, AreKept) {
  int told = 0;
  keep_plans_in(directory_, [&told] { ++told; });
  LinearWork({kHalf, {24, 72}, 136, kBias})();
  LinearWork({kHalf, {24, 72}, 144, kBias})();
  EXPECT_EQ(told, 1) << "of the first, not of every one";
  save_plans();
  keep_plans_in({}, nullptr);
  EXPECT_FALSE(std::filesystem::is_empty(directory_));
}

}  // namespace
}  // namespace brume::kernels::gpu
