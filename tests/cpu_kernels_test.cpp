#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernels/attention_cpu.h"
#include "kernels/convolution_layouts.h"
#include "kernels/group_norm_cpu.h"
#include "kernels/layer_norm_cpu.h"
#include "kernels/packed.h"
#include "plain_kernels.h"

// The CPU's kernels, on every instruction set that this processor has, against plain float64 formulas.
namespace brume::kernels {
namespace {

struct Case {
  const cpu::Machine* machine;
  at::ScalarType dtype;
  double tolerance;  // of numbers near one
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const cpu::Machine* machine : cpu::machines()) {
    all.push_back({machine, at::kFloat, 1e-5});
    all.push_back({machine, at::kBFloat16, 2e-2});
  }
  return all;
}

class OnMachine : public ::testing::TestWithParam<Case> {
 protected:
  const cpu::Machine& machine() const { return *GetParam().machine; }
  at::Tensor randn(at::IntArrayRef sizes) const { return at::randn(sizes).to(GetParam().dtype); }
  void expect_near(const at::Tensor& ours, const at::Tensor& wanted, const std::string& what) const {
    ASSERT_EQ(ours.sizes(), wanted.sizes()) << what;
    ASSERT_EQ(ours.scalar_type(), GetParam().dtype) << what;
    const at::Tensor error = (ours.to(at::kDouble) - wanted).abs() / wanted.abs().clamp_min(1);
    EXPECT_LT(error.max().item<double>(), GetParam().tolerance) << what;
  }
};

INSTANTIATE_TEST_SUITE_P(All, OnMachine, ::testing::ValuesIn(cases()), [](const auto& one) {
  return std::string(one.param.machine->name) + (one.param.dtype == at::kFloat ? "_fp32" : "_bf16");
});

TEST_P(OnMachine, AttentionOfEveryWidthAndRaggedLengths) {
  at::manual_seed(3);
  std::mt19937 random(3);
  const auto pick = [&](int64_t most) { return std::uniform_int_distribution<int64_t>(1, most)(random); };
  for (const int64_t head_dim : {1, 2, 3, 8, 17, 40, 64, 80, 160, 512}) {
    for (int round = 0; round < 4; ++round) {
      const int64_t batch = pick(2);
      const int64_t heads = pick(3);
      const int64_t keys = round == 0 ? 77 : pick(300);
      const at::Tensor q = randn({batch, pick(150), heads, head_dim});
      const at::Tensor k = randn({batch, keys, heads, head_dim});
      const at::Tensor v = randn({batch, keys, heads, head_dim});
      expect_near(attention_cpu(machine(), q, k, v), plain_attention(q, k, v),
                  "head_dim " + std::to_string(head_dim) + ", keys " + std::to_string(keys));
    }
  }
}

/// An average of many values is small: its error is held against its own size.
TEST_P(OnMachine, AttentionIsExactForItsSize) {
  at::manual_seed(5);
  for (const int64_t keys : {1, 2, 3, 64, 65, 77, 129, 300}) {
    for (const int64_t head_dim : {7, 40, 64}) {
      const at::Tensor q = randn({1, 50, 2, head_dim});
      const at::Tensor k = randn({1, keys, 2, head_dim});
      const at::Tensor v = randn({1, keys, 2, head_dim});
      const at::Tensor wanted = plain_attention(q, k, v);
      const at::Tensor error = attention_cpu(machine(), q, k, v).to(at::kDouble) - wanted;
      const double limit = GetParam().dtype == at::kFloat ? 1e-5 : 8e-3;
      EXPECT_LT(error.norm().item<double>() / wanted.norm().item<double>(), limit)
          << keys << " keys, head_dim " << head_dim;
    }
  }
}

TEST_P(OnMachine, AttentionTakesRowsWithGaps) {
  const at::Tensor wide = randn({2, 4, 33, 40});  // [N, heads, T, d]: the last dimension of q has a stride
  const at::Tensor q = wide.transpose(1, 2).transpose(1, 3).contiguous().transpose(1, 3);
  ASSERT_NE(q.stride(3), 1);
  const at::Tensor k = randn({2, 33, 4, 40});
  expect_near(attention_cpu(machine(), q, k, k), plain_attention(q, k, k), "strided");
}

TEST_P(OnMachine, NormsTakeWeightsWithGapsAndOfTheirOwnDtype) {
  const at::Tensor x = randn({2, 16, 5, 7});
  const at::Tensor weight = randn({32}).slice(0, 0, {}, 2);
  const at::Tensor bias = randn({16, 3}).select(1, 1);
  const GroupNormSettings settings{4, 1e-5, Activation::kSilu};
  expect_near(group_norm_cpu(machine(), {x}, weight, bias, settings),
              plain_group_norm(x, weight, bias, settings), "group norm");
  const at::Tensor rows = randn({16, 9}).t();  // [9, 16]
  expect_near(layer_norm_cpu(machine(), rows, weight, bias, 1e-5), plain_layer_norm(rows, weight, bias, 1e-5),
              "layer norm");
}

TEST_P(OnMachine, AttentionReadsAPackedProjectionByItsStrides) {
  const std::vector<at::Tensor> qkv = randn({2, 133, 3, 4, 40}).unbind(2);
  expect_near(attention_cpu(machine(), qkv[0], qkv[1], qkv[2]), plain_attention(qkv[0], qkv[1], qkv[2]),
              "qkv");
}

TEST_P(OnMachine, AttentionOfHugeEqualAndFarApartScores) {
  const at::Tensor huge = at::full({1, 70, 2, 40}, 1e4F).to(GetParam().dtype);
  const at::Tensor v = randn({1, 70, 2, 40});
  expect_near(attention_cpu(machine(), huge, huge, v), plain_attention(huge, huge, v), "equal");
  // One key far above the others, met last: all that was summed before vanishes.
  at::Tensor k = at::zeros({1, 70, 2, 40}).to(GetParam().dtype);
  k.select(1, 69).fill_(100);
  const at::Tensor ones = at::ones({1, 5, 2, 40}).to(GetParam().dtype);
  expect_near(attention_cpu(machine(), ones, k, v), plain_attention(ones, k, v), "far apart");
}

/// Every few keys a maximum, which what was summed before has to follow; for some queries it never comes.
TEST_P(OnMachine, AttentionOfClimbingScores) {
  at::manual_seed(8);
  for (const double climb : {0.0625, 0.5, 3.0, 40.0}) {  // products are exact: the softmax alone is tried
    at::Tensor k = at::zeros({1, 333, 1, 16}).to(GetParam().dtype);
    k.select(3, 0).copy_((at::arange(333) * climb).view({1, 333, 1}));
    at::Tensor q = at::zeros({1, 100, 1, 16}).to(GetParam().dtype);
    q.select(3, 0).copy_(((at::arange(100) % 3 - 1) * 4).view({1, 100, 1}));  // falling, level, climbing
    const at::Tensor v = randn({1, 333, 1, 16});
    expect_near(attention_cpu(machine(), q, k, v), plain_attention(q, k, v), "by " + std::to_string(climb));
  }
}

TEST_P(OnMachine, AttentionKeepsANan) {
  at::Tensor q = randn({1, 20, 1, 8});
  q.select(1, 7).fill_(std::nan(""));
  const at::Tensor out = attention_cpu(machine(), q, randn({1, 90, 1, 8}), randn({1, 90, 1, 8}));
  EXPECT_TRUE(out.select(1, 7).isnan().all().item<bool>());
  EXPECT_FALSE(out.select(1, 6).isnan().any().item<bool>());
}

TEST_P(OnMachine, GroupNormOfPartsWithAnEmbedding) {
  at::manual_seed(4);
  // Groups that end where the second part begins, and groups that straddle it.
  for (const auto& [first, second, groups] :
       {std::array<int64_t, 3>{32, 16, 3}, {20, 10, 5}, {7, 5, 2}, {40, 0, 8}}) {
    for (const Activation activation : {Activation::kNone, Activation::kSilu}) {
      const GroupNormSettings settings{groups, 1e-5, activation};
      const at::Tensor a = randn({2, first, 19, 17});
      const at::Tensor b = second > 0 ? randn({2, second, 19, 17}) : at::Tensor();
      const at::Tensor embedding = randn({2, first + second});
      const at::Tensor weight = randn({first + second});
      const at::Tensor bias = randn({first + second});
      const at::Tensor whole = second > 0 ? at::cat({a, b}, 1) : a;
      const at::Tensor moved = whole.to(at::kDouble) + embedding.to(at::kDouble).unsqueeze(-1).unsqueeze(-1);
      const std::string what = std::to_string(first) + " and " + std::to_string(second) + " channels";
      expect_near(group_norm_cpu(machine(), {MapParts(a, b), embedding}, weight, bias, settings),
                  plain_group_norm(moved, weight, bias, settings), what);
      expect_near(group_norm_cpu(machine(), {MapParts(a, b)}, weight, bias, settings),
                  plain_group_norm(whole, weight, bias, settings), what);
    }
  }
}

TEST_P(OnMachine, GroupNormFarFromZero) {
  if (GetParam().dtype != at::kFloat) return;  // bfloat16 cannot hold such numbers
  const at::Tensor x = randn({1, 4, 40, 40}) + 1000;
  const at::Tensor got =
      group_norm_cpu(machine(), {x}, at::ones({4}), at::zeros({4}), {2, 1e-5, Activation::kNone});
  const at::Tensor wanted = plain_group_norm(x, at::ones({4}), at::zeros({4}), {2, 1e-5, Activation::kNone});
  EXPECT_LT((got.to(at::kDouble) - wanted).abs().max().item<double>(), 1e-3);
}

TEST_P(OnMachine, LayerNorm) {
  for (const int64_t width : {1, 3, 16, 40, 77, 320}) {
    const at::Tensor x = randn({2, 9, width}) * 2 + 1;
    const at::Tensor weight = randn({width});
    const at::Tensor bias = randn({width});
    expect_near(layer_norm_cpu(machine(), x, weight, bias, 1e-5), plain_layer_norm(x, weight, bias, 1e-5),
                std::to_string(width));
  }
}

class Packed : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  at::Tensor randn(at::IntArrayRef sizes) const { return at::randn(sizes).to(GetParam()); }
  void expect_near(const at::Tensor& ours, const at::Tensor& wanted) const {
    ASSERT_EQ(ours.sizes(), wanted.sizes());
    const double scale = wanted.abs().max().item<double>();
    EXPECT_LT((ours.to(at::kDouble) - wanted).abs().max().item<double>(),
              (GetParam() == at::kFloat ? 1e-5 : 1e-2) * scale);
  }
};

INSTANTIATE_TEST_SUITE_P(All, Packed, ::testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

at::Tensor wide(const at::Tensor& x) { return x.to(at::kDouble); }

TEST_P(Packed, ConvolutionAloneAndAdded) {
  for (const auto& [kernel, stride, padding] :
       {std::array<int64_t, 3>{3, 1, 1}, {3, 2, 1}, {3, 2, 0}, {1, 1, 0}}) {
    const at::Tensor x = randn({2, 6, 11, 9});
    const at::Tensor weight = randn({10, 6, kernel, kernel});
    const at::Tensor bias = randn({10});
    const PackedConvolution convolution(weight, bias, {stride, padding});
    const at::Tensor wanted =
        at::conv2d(wide(x), wide(weight), wide(bias), {stride, stride}, {padding, padding});
    expect_near(convolution(x), wanted);
    at::Tensor sum = randn(wanted.sizes()).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor before = wide(sum).clone();
    convolution.add_to(sum, x);
    expect_near(sum, before + wanted);
  }
}

/// Whatever sizes come by turns, and however many threads there are.
TEST_P(Packed, ConvolutionOfMapsOfManySizes) {
  const at::Tensor weight = randn({48, 40, 3, 3});
  const PackedConvolution convolution(weight, std::nullopt, {1, 1});
  const int threads = at::get_num_threads();
  for (int round = 0; round < 2; ++round) {
    for (const auto& [batch, side] : {std::pair(1, 4), {16, 8}, {2, 33}, {5, 16}, {1, 64}, {3, 1}}) {
      at::set_num_threads(1 + (round + batch) % 2);
      const at::Tensor x = randn({batch, 40, side, side});
      expect_near(convolution(x), at::conv2d(wide(x), wide(weight), {}, {1, 1}, {1, 1}));
    }
  }
  at::set_num_threads(threads);
}

TEST(ConvolutionLayouts, AreAsFewAsTheWeightsAreLarge) {
  for (const auto& [channels, most] : {std::pair<int64_t, size_t>(48, 2), {352, 1}}) {
    const at::Tensor weight = at::randn({channels, channels, 3, 3});
    ConvolutionLayouts layouts(weight, {.stride = 1, .padding = 1});
    EXPECT_EQ(layouts.held(), 0U);
    for (const int64_t side : {1, 2, 4, 8, 16, 32, 64, 4, 1}) {
      for (const int64_t batch : {1, 2, 3, 16}) {
        const at::Tensor packed = layouts.for_map(at::empty({batch, channels, side, side}));
        EXPECT_TRUE(at::equal(packed.to_dense(), weight)) << batch << " of " << side;
        EXPECT_LE(layouts.held(), most);
      }
    }
  }
}

TEST_P(Packed, LinearWithEveryEnding) {
  const at::Tensor x = randn({2, 7, 12});
  const at::Tensor weight = randn({5, 12});
  const at::Tensor other = randn({2, 7, 5});
  for (const std::optional<at::Tensor>& bias : {std::optional(randn({5})), std::optional<at::Tensor>()}) {
    const PackedLinear linear(weight, bias);
    at::Tensor wanted = at::matmul(wide(x), wide(weight).t());
    if (bias) wanted = wanted + wide(*bias);
    expect_near(linear(x), wanted);
    expect_near(linear.plus(x, other), wanted + wide(other));
    expect_near(linear.times(x, other), wanted * wide(other));
    expect_near(linear.gelu(x), at::gelu(wanted));
  }
}

}  // namespace
}  // namespace brume::kernels
