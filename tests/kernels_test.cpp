#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

#include "brume/diffusion/guidance.h"
#include "brume/diffusion/samplers.h"
#include "kernels/attention.h"
#include "kernels/group_norm.h"
#include "kernels/guided_step.h"
#include "kernels/layer_norm.h"
#include "kernels/silu.h"
#include "kernels/small_plan.h"
#include "kernels/timestep_embedding.h"
#include "plain_kernels.h"

// The doors of our operations against plain float64 formulas, on sizes that do not divide evenly.
namespace brume::kernels {
namespace {

at::Tensor randn(at::IntArrayRef sizes) { return at::randn(sizes, at::TensorOptions(at::kFloat)); }

double largest_error(const at::Tensor& ours, const at::Tensor& wanted) {
  return (ours.to(at::kDouble) - wanted).abs().max().item<double>();
}

class AttentionSizes : public ::testing::TestWithParam<int64_t> {};

TEST_P(AttentionSizes, AgreeWithTheFormula) {
  const int64_t head_dim = GetParam();
  at::manual_seed(static_cast<uint64_t>(head_dim));
  std::mt19937 random(static_cast<uint32_t>(head_dim));
  for (int round = 0; round < 8; ++round) {
    const auto pick = [&](int64_t most) { return std::uniform_int_distribution<int64_t>(1, most)(random); };
    const int64_t batch = pick(3);
    const int64_t heads = pick(5);
    const int64_t queries = pick(150);
    const int64_t keys = pick(300);
    const at::Tensor q = randn({batch, queries, heads, head_dim});
    const at::Tensor k = randn({batch, keys, heads, head_dim});
    const at::Tensor v = randn({batch, keys, heads, head_dim});
    EXPECT_LT(largest_error(attention(q, k, v), plain_attention(q, k, v, AttentionMask::kNone)), 1e-5);
    const at::Tensor causal = attention(q, q, q, AttentionMask::kCausal);
    EXPECT_LT(largest_error(causal, plain_attention(q, q, q, AttentionMask::kCausal)), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(HeadDims, AttentionSizes, ::testing::Values(1, 5, 12, 40, 64, 80, 128, 160, 512));

TEST(Attention, ReadsAPackedProjectionByItsStrides) {
  const at::Tensor packed = randn({2, 33, 3, 4, 40});  // [N, T, qkv, heads, head_dim]
  const std::vector<at::Tensor> qkv = packed.unbind(2);
  EXPECT_LT(largest_error(attention(qkv[0], qkv[1], qkv[2]),
                          plain_attention(qkv[0], qkv[1], qkv[2], AttentionMask::kNone)),
            1e-5);
}

TEST(Attention, HugeAndEqualScoresStayFinite) {
  const at::Tensor huge = at::full({1, 7, 2, 40}, 1e4F);
  const at::Tensor v = randn({1, 7, 2, 40});
  EXPECT_LT(largest_error(attention(huge, huge, v), plain_attention(huge, huge, v, AttentionMask::kNone)),
            1e-5);
}

TEST(Attention, RefusesShapesThatDoNotFit) {
  const at::Tensor q = randn({2, 5, 3, 8});
  EXPECT_THROW(attention(q, randn({2, 5, 3, 9}), randn({2, 5, 3, 9})), std::invalid_argument);
  EXPECT_THROW(attention(q, q, randn({2, 6, 3, 8})), std::invalid_argument);
  EXPECT_THROW(attention(q, q, q.to(at::kBFloat16)), std::invalid_argument);
  EXPECT_THROW(attention(q, randn({2, 0, 3, 8}), randn({2, 0, 3, 8})), std::invalid_argument);
}

TEST(GroupNorm, AgreesWithTheFormulaForEveryWidth) {
  at::manual_seed(7);
  for (const int64_t width : {1, 2, 3, 5, 10, 20, 40, 80, 160}) {
    for (const Activation activation : {Activation::kNone, Activation::kSilu}) {
      const GroupNormSettings settings{3, 1e-5, activation};
      const at::Tensor x = randn({2, 3 * width, 7, 5}) * 3 + 1;
      const at::Tensor weight = randn({3 * width});
      const at::Tensor bias = randn({3 * width});
      EXPECT_LT(
          largest_error(group_norm({x}, weight, bias, settings), plain_group_norm(x, weight, bias, settings)),
          2e-5)
          << width;
    }
  }
}

TEST(GroupNorm, KeepsPrecisionFarFromZero) {
  // The naive E[x^2] - E[x]^2 loses everything here.
  const GroupNormSettings settings{2, 1e-5, Activation::kNone};
  const at::Tensor x = randn({1, 4, 16, 16}) + 1000;
  const at::Tensor ones = at::ones({4});
  EXPECT_LT(largest_error(group_norm({x}, ones, at::zeros({4}), settings),
                          plain_group_norm(x, ones, at::zeros({4}), settings)),
            1e-2);
}

TEST(GroupNorm, LeavesItsInputAlone) {
  const at::Tensor x = randn({1, 4, 3, 3});
  const at::Tensor before = x.clone();
  group_norm({x}, at::ones({4}), at::zeros({4}), {2, 1e-5, Activation::kSilu});
  EXPECT_TRUE(x.equal(before));
}

TEST(GroupNorm, RefusesShapesThatDoNotFit) {
  const GroupNormSettings settings{3, 1e-5, Activation::kNone};
  EXPECT_THROW(group_norm({randn({1, 4, 2, 2})}, randn({4}), randn({4}), settings), std::invalid_argument);
  EXPECT_THROW(group_norm({randn({1, 6, 2, 2})}, randn({4}), randn({6}), settings), std::invalid_argument);
}

TEST(LayerNorm, AgreesWithTheFormula) {
  for (const int64_t width : {1, 7, 40, 320}) {
    const at::Tensor x = randn({2, 5, width}) * 3 + 10;
    const at::Tensor weight = randn({width});
    const at::Tensor bias = randn({width});
    EXPECT_LT(largest_error(layer_norm(x, weight, bias, 1e-5), plain_layer_norm(x, weight, bias, 1e-5)),
              2e-5);
  }
  EXPECT_THROW(layer_norm(randn({2, 4}), randn({3}), randn({3}), 1e-5), std::invalid_argument);
}

TEST(Silu, AgreesWithTheFormula) {
  const at::Tensor x = randn({3, 50}) * 10;
  const at::Tensor wide = x.to(at::kDouble);
  EXPECT_LT(largest_error(kernels::silu(x), wide * wide.sigmoid()), 1e-5);
}

TEST(SinusoidalEmbedding, AgreesWithTheFormula) {
  for (const bool cosine_first : {false, true}) {
    const at::Tensor values = at::tensor({0.0F, 1.0F, 999.0F});
    const at::Tensor got = sinusoidal_embedding(values, {7, cosine_first, 1.0});
    for (int64_t row = 0; row < 3; ++row) {
      for (int64_t i = 0; i < 6; ++i) {
        const double frequency = std::exp(-std::log(10000.0) * static_cast<double>(i % 3) / 2);
        const double angle = values[row].item<double>() * frequency;
        const double wanted = (i < 3) == cosine_first ? std::cos(angle) : std::sin(angle);
        EXPECT_NEAR(got[row][i].item<double>(), wanted, 1e-4) << row << " " << i;
      }
      EXPECT_EQ(got[row][6].item<float>(), 0);
    }
  }
}

/// A table of one row.
at::Tensor table_of(const StepFactors& factors) {
  return at::tensor({factors.latents, factors.prediction, factors.noise, factors.guidance}).unsqueeze(0);
}

at::Tensor step_number(int step) { return at::full({1}, step, at::TensorOptions(at::kInt)); }

StepPrediction step_prediction(Prediction prediction) {
  if (prediction == Prediction::kV) return StepPrediction::kV;
  return prediction == Prediction::kSample ? StepPrediction::kSample : StepPrediction::kEpsilon;
}

TEST(GuidedStep, EqualsGuidanceAndTheSamplersStep) {
  GuidanceSettings guidance;
  guidance.scale = 7.5;
  for (const Prediction kind : {Prediction::kEpsilon, Prediction::kV, Prediction::kSample}) {
    NoiseScheduleConfig config;
    config.prediction = kind;
    config.limits.clip = false;
    const NoiseSchedule schedule(config);
    at::Tensor table = at::zeros({0, 4});
    for (const DdimStep& step : {DdimStep{981, 961, 0}, {501, 481, 0}, {501, 481, 1}, {1, -19, 0}}) {
      StepFactors factors = ddim_factors(double{schedule.alpha_cumprod(step.t)},
                                         double{schedule.alpha_cumprod_or_final(step.previous)}, step.eta,
                                         step_prediction(kind));
      factors.guidance = static_cast<float>(guidance.scale);
      table = at::cat({table, table_of(factors)});
      const at::Tensor latents = randn({2, 4, 5, 3});
      const at::Tensor negative = randn({2, 4, 5, 3});
      const at::Tensor positive = randn({2, 4, 5, 3});
      const at::Tensor noise = step.eta > 0 ? randn({2, 4, 5, 3}) : at::Tensor();
      const at::Tensor row = step_number(static_cast<int>(table.size(0)) - 1);
      const at::Tensor wanted =
          ddim_step(schedule, step, guide({negative, positive, {}, {}}, guidance, {kind, latents, {}}),
                    latents, noise)
              .to(at::kDouble);
      const at::Tensor got = guided_step({latents, negative, positive, noise}, table, row);
      EXPECT_LT(largest_error(got, wanted), 1e-5 * wanted.abs().max().item<double>())
          << static_cast<int>(kind) << " " << step.t << " " << step.eta;
      // Without a negative prompt, as the pipeline's step without guidance.
      const at::Tensor plain = guided_step({latents, {}, positive, noise}, table, row);
      const at::Tensor unguided = ddim_step(schedule, step, positive, latents, noise).to(at::kDouble);
      EXPECT_LT(largest_error(plain, unguided), 1e-5 * unguided.abs().max().item<double>());
    }
  }
}

TEST(GuidedStep, ComputesInSinglePrecision) {
  const at::Tensor latents = randn({1, 4, 3, 3});
  const at::Tensor positive = randn({1, 4, 3, 3}).to(at::kHalf);
  const at::Tensor negative = randn({1, 4, 3, 3}).to(at::kHalf);
  const at::Tensor table = table_of({.latents = 2, .prediction = -3, .noise = 1, .guidance = 7.5F});
  const at::Tensor got = guided_step({latents, negative, positive, {}}, table, step_number(0));
  const at::Tensor without = negative.to(at::kDouble);
  const at::Tensor wanted =
      2 * latents.to(at::kDouble) - 3 * (without + 7.5 * (positive.to(at::kDouble) - without));
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  EXPECT_LT(largest_error(got, wanted), 1e-4);
}

TEST(GuidedStep, RefusesWhatDoesNotFit) {
  const at::Tensor x = randn({1, 4, 3, 3});
  const at::Tensor other = randn({1, 4, 3, 2});
  const at::Tensor table = table_of({1, 1, 1, 1});
  const at::Tensor step = step_number(0);
  EXPECT_NO_THROW(guided_step({x, x, x, x}, table, step));
  EXPECT_THROW(guided_step({other, x, x, x}, table, step), std::invalid_argument);
  EXPECT_THROW(guided_step({x, other, x, x}, table, step), std::invalid_argument);
  EXPECT_THROW(guided_step({x, x, other, x}, table, step), std::invalid_argument);
  EXPECT_THROW(guided_step({x, x, x, other}, table, step), std::invalid_argument);
  EXPECT_THROW(guided_step({x.to(at::kHalf), x, x, x}, table, step), std::invalid_argument);
  EXPECT_THROW(guided_step({x, x.to(at::kHalf), x, x}, table, step), std::invalid_argument);
  EXPECT_THROW(guided_step({x, {}, x.to(at::kDouble), x}, table, step), std::invalid_argument);
  EXPECT_THROW(guided_step({x, x, x, x.to(at::kHalf)}, table, step), std::invalid_argument);
  EXPECT_THROW(guided_step({x, x, x, x}, randn({2, 3}), step), std::invalid_argument);
  EXPECT_THROW(guided_step({x, x, x, x}, table, at::zeros({2}, at::kInt)), std::invalid_argument);
  EXPECT_THROW(guided_step({x, x, x, x}, table, at::zeros({1})), std::invalid_argument);
}

}  // namespace
}  // namespace brume::kernels
