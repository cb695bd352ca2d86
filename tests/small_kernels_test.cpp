#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/small_plan.h"
#include "tests/machine/machine.h"

// The small kernels' own source on the host body, against the same in fp64.
namespace brume::kernels::device {
namespace {

using machine::Report;

template <class T>
constexpr double kUnit = 0;  // half the distance between neighbours, relative
template <>
constexpr double kUnit<float> = 0x1p-24;
template <>
constexpr double kUnit<Half> = 0x1p-11;
template <>
constexpr double kUnit<Bfloat16> = 0x1p-8;

/// Numbers that begin at a multiple of 16 bytes, or `shift` elements after one.
template <class T>
class Numbers {
 public:
  Numbers(int64_t count, int shift)
      : room_(static_cast<size_t>(count + shift) * sizeof(T)), count_(count), shift_(shift) {}
  static Numbers random(int64_t count, int shift, double mean = 0, double deviation = 1) {
    Numbers numbers(count, shift);
    std::mt19937 random(static_cast<unsigned>(count + shift));
    std::normal_distribution<double> normal(mean, deviation);
    for (int64_t i = 0; i < count; ++i) numbers.data()[i] = from_float<T>(static_cast<float>(normal(random)));
    return numbers;
  }
  T* data() { return reinterpret_cast<T*>(room_.data()) + shift_; }
  double operator[](int64_t i) const { return to_float(const_cast<Numbers*>(this)->data()[i]); }
  int64_t count() const { return count_; }

 private:
  std::vector<std::byte> room_;  // exactly so long, so that the address sanitizer sees the next
  int64_t count_;
  int shift_;
};

void expect_sound(const Report& report) {
  EXPECT_TRUE(report.faults.empty()) << report.faults.front();
  EXPECT_EQ(report.bank_conflicts, 0);
}

template <class T>
void expect_near(T got, double wanted, double slack) {
  EXPECT_NEAR(to_float(got), wanted, 1.01 * kUnit<T> * std::fabs(wanted) + slack);
}

double silu_of(double x) { return x / (1 + std::exp(-x)); }
double gelu_of(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

template <class T>
class SmallKernels : public testing::Test {};
using Types = testing::Types<float, Half, Bfloat16>;
TYPED_TEST_SUITE(SmallKernels, Types);

enum class Residual { kNone, kAdded, kAddedAndKept, kKeptOverX, kKeptOverResidual };

/// Rows of `width` with a gap of `gap` after each of x, and more after those of each other operand.
template <class T>
void check_layer_norm(int width, int gap, Residual residual, double mean) {
  constexpr int kRows = 7;
  constexpr double kEps = 1e-5;
  const int64_t x_stride = width + gap;
  const int64_t added_stride = width + 2 * gap;
  const int64_t y_stride = width + 3 * gap;
  const Numbers<T> x = Numbers<T>::random(kRows * x_stride, 0, mean);
  const Numbers<T> added = Numbers<T>::random(kRows * added_stride, gap);
  Numbers<T> weight = Numbers<T>::random(width, 0, 1, 0.3);
  Numbers<T> bias = Numbers<T>::random(width, 0);
  // What the kernel reads, and may write over.
  Numbers<T> given_x = x;
  Numbers<T> given_residual = added;
  Numbers<T> apart(kRows * (width + 4 * gap), 0);
  MutableRows sum{nullptr, 0};
  if (residual == Residual::kAddedAndKept) sum = {apart.data(), width + 4 * gap};
  if (residual == Residual::kKeptOverX) sum = {given_x.data(), x_stride};
  if (residual == Residual::kKeptOverResidual) sum = {given_residual.data(), added_stride};
  Numbers<T> y(kRows * y_stride, 0);
  LayerNormParams params{
      .rows = kRows,
      .width = width,
      .x = {given_x.data(), x_stride},
      .residual = {residual == Residual::kNone ? nullptr : given_residual.data(), added_stride},
      .sum = sum,
      .y = {y.data(), y_stride},
      .weight = weight.data(),
      .bias = bias.data(),
      .eps = static_cast<float>(kEps)};
  expect_sound(machine::layer_norm(params, machine::element_of<T>()));
  for (int row = 0; row < kRows; ++row) {
    std::vector<double> s;
    double middle = 0;
    double squares = 0;
    for (int i = 0; i < width; ++i) {
      const double other = residual == Residual::kNone ? 0 : added[row * added_stride + i];
      const auto exact = static_cast<float>(x[row * x_stride + i] + other);
      s.push_back(to_float(from_float<T>(exact)));
      middle += s.back() / width;
    }
    for (const double value : s) squares += (value - middle) * (value - middle);
    const double root = 1 / std::sqrt(squares / width + kEps);
    for (int i = 0; i < width; ++i) {
      const double wanted = (s[static_cast<size_t>(i)] - middle) * root * weight[i] + bias[i];
      const double lost = 8 * kUnit<float> * std::fabs(middle) * root * std::fabs(weight[i]);
      expect_near(y.data()[row * y_stride + i], wanted, lost + 4e-6);
      if (sum.data != nullptr) {
        EXPECT_EQ(to_float(static_cast<T*>(sum.data)[row * sum.stride + i]), s[static_cast<size_t>(i)]);
      }
    }
  }
}

TYPED_TEST(SmallKernels, LayerNorm) {
  for (const int width : {1, 3, 31, 40, 64, 320, 321, 640, 768, 1280}) {
    for (const int gap : {0, 8, 3}) {
      for (const Residual residual : {Residual::kNone, Residual::kAdded, Residual::kAddedAndKept,
                                      Residual::kKeptOverX, Residual::kKeptOverResidual})
        check_layer_norm<TypeParam>(width, gap, residual, 0);
    }
  }
  check_layer_norm<TypeParam>(320, 0, Residual::kNone, 1000);
  check_layer_norm<TypeParam>(5000, 0, Residual::kAdded, 0);
}

TEST(SmallPlans, RefuseARowThatDoesNotFit) {
  LayerNormParams params{};
  params.rows = 3;
  params.width = 24 << 10;
  EXPECT_EQ(plan_layer_norm(params, 2).blocks, 3);
  EXPECT_LE(plan_layer_norm(params, 2).shared_bytes, kLayerNormMostBytes);
  EXPECT_TRUE(layer_norm_fits(params, 2));
  for (const int width : {24 << 10, 1 << 30}) {
    params.width = width;
    EXPECT_FALSE(layer_norm_fits(params, 4));
    EXPECT_FALSE(machine::layer_norm(params, Element::kFloat).faults.empty());
  }
}

/// Nothing is read, not even weights or a step's number.
TYPED_TEST(SmallKernels, NoElementsAreNoLaunch) {
  constexpr Element kElement = machine::element_of<TypeParam>();
  struct Size {
    int rows;
    int width;
  };
  for (const Size& size : {Size{0, 320}, Size{0, 1 << 30}, Size{3, 0}, Size{0, 0}}) {
    LayerNormParams norm{};
    norm.rows = size.rows;
    norm.width = size.width;
    expect_sound(machine::layer_norm(norm, kElement));
    GegluParams geglu{};
    geglu.rows = size.rows;
    geglu.width = size.width;
    expect_sound(machine::geglu(geglu, kElement));
    TimestepEmbeddingParams embedding{};
    embedding.count = size.rows;
    embedding.width = size.width;
    expect_sound(machine::timestep_embedding(embedding, kElement));
  }
  expect_sound(machine::silu({}, kElement));
  expect_sound(machine::guided_step({}, kElement));
}

TYPED_TEST(SmallKernels, Geglu) {
  using T = TypeParam;
  for (const int width : {1, 7, 40, 64, 160, 321}) {
    for (const int gap : {0, 8, 3}) {
      constexpr int kRows = 5;
      const int64_t stride = 2 * width + gap;
      Numbers<T> x = Numbers<T>::random(kRows * stride, 0, 0, 2.5);
      Numbers<T> y(kRows * stride, 0);
      const GegluParams params{kRows, width, {x.data(), stride}, {y.data(), width + gap}};
      expect_sound(machine::geglu(params, machine::element_of<T>()));
      for (int row = 0; row < kRows; ++row) {
        for (int i = 0; i < width; ++i) {
          const double value = x[row * stride + i];
          const double wanted = value * gelu_of(x[row * stride + width + i]);
          expect_near(y.data()[row * (width + gap) + i], wanted, 1e-6 * (1 + std::fabs(value)));
        }
      }
    }
  }
}

TYPED_TEST(SmallKernels, Silu) {
  using T = TypeParam;
  for (const int count : {1, 5, 16, 63, 1000, 2049}) {
    for (const int shift : {0, 1}) {
      Numbers<T> x = Numbers<T>::random(count, shift, 0, 30);
      Numbers<T> y(count, shift);
      const SiluParams params{count, x.data(), y.data()};
      const SmallPlan plan = plan_silu(params, sizeof(T));
      EXPECT_EQ(plan.vector == 1, shift == 1);
      expect_sound(machine::silu(params, machine::element_of<T>()));
      for (int i = 0; i < count; ++i) expect_near(y.data()[i], silu_of(x[i]), 1e-6 * (1 + std::fabs(x[i])));
      Numbers<T> both = x;
      expect_sound(machine::silu({count, both.data(), both.data()}, machine::element_of<T>()));
      for (int i = 0; i < count; ++i) EXPECT_EQ(both[i], y[i]);  // over x
    }
  }
}

TYPED_TEST(SmallKernels, TimestepEmbedding) {
  using T = TypeParam;
  std::vector<float> values{0, 1, 17.5F, 499, 999, 1024};
  for (const int width : {2, 7, 256, 320}) {
    for (const WaveOrder order : {WaveOrder::kSineFirst, WaveOrder::kCosineFirst}) {
      for (const float shift : {0.0F, 1.0F}) {
        if (width / 2 == 1 && shift == 1) continue;  // no frequency is meant
        const auto count = static_cast<int>(values.size());
        const int64_t stride = width + 1;
        Numbers<T> y = Numbers<T>::random(count * stride, 0);
        const TimestepEmbeddingParams params{count, width, values.data(), {y.data(), stride}, order, shift};
        expect_sound(machine::timestep_embedding(params, machine::element_of<T>()));
        const int half = width / 2;
        for (int row = 0; row < count; ++row) {
          for (int i = 0; i < 2 * half; ++i) {
            const double frequency = std::exp(-std::log(10000.0) * (i % half) / (half - double{shift}));
            const double angle = double{values[static_cast<size_t>(row)]} * frequency;
            const bool cosine = (i < half) == (order == WaveOrder::kCosineFirst);
            // The frequency is known to a few units of fp32.
            expect_near(y.data()[row * stride + i], cosine ? std::cos(angle) : std::sin(angle),
                        2e-6 + 16 * kUnit<float> * angle);
          }
          if (width % 2 == 1) {
            EXPECT_EQ(y[row * stride + width - 1], 0);
          }
        }
      }
    }
  }
}

/// A DDIM step in two: from the prediction to the clean sample and the noise, and from these to the next.
double stepped(double x, double p, double noise, const std::vector<double>& alphas,
               StepPrediction prediction) {
  const double signal = std::sqrt(alphas[0]);
  const double spread = std::sqrt(1 - alphas[0]);
  double clean = p;
  double e = p;
  if (prediction == StepPrediction::kEpsilon) clean = (x - spread * p) / signal;
  if (prediction == StepPrediction::kSample) e = (x - signal * p) / spread;
  if (prediction == StepPrediction::kV) {
    clean = signal * x - spread * p;
    e = signal * p + spread * x;
  }
  const double eta = alphas[2];
  const double sigma = eta * std::sqrt((1 - alphas[1]) / (1 - alphas[0]) * (1 - alphas[0] / alphas[1]));
  return std::sqrt(alphas[1]) * clean + std::sqrt(1 - alphas[1] - sigma * sigma) * e + sigma * noise;
}

TYPED_TEST(SmallKernels, GuidedStep) {
  using T = TypeParam;
  constexpr double kGuidance = 7.5;
  const std::vector<std::vector<double>> steps{{0.3, 0.5, 0}, {0.0047, 0.02, 1}, {0.9, 0.99915, 0.5}};
  for (const StepPrediction prediction :
       {StepPrediction::kEpsilon, StepPrediction::kV, StepPrediction::kSample}) {
    std::vector<StepFactors> table;
    for (const auto& step : steps) {
      table.push_back(ddim_factors(step[0], step[1], step[2], prediction));
      table.back().guidance = static_cast<float>(kGuidance);
    }
    for (int step = 0; step < 3; ++step) {
      for (const int count : {1, 4, 63, 1030}) {
        const int shift = count == 63 ? 1 : 0;
        Numbers<float> x = Numbers<float>::random(count, shift);
        Numbers<float> noise = Numbers<float>::random(count, 2 * shift);
        Numbers<T> negative = Numbers<T>::random(count, shift);
        Numbers<T> positive = Numbers<T>::random(count, 3 * shift);
        Numbers<float> next(count, 0);
        const bool noisy = steps[static_cast<size_t>(step)][2] > 0;
        const bool guided = count != 4;
        std::vector<int> step_number(1);
        const GuidedStepParams params{count,
                                      x.data(),
                                      guided ? negative.data() : nullptr,
                                      positive.data(),
                                      noisy ? noise.data() : nullptr,
                                      next.data(),
                                      table.data(),
                                      &(step_number[0] = step)};
        const SmallPlan plan = plan_guided_step(params, sizeof(T));
        EXPECT_EQ(plan.vector == 1, shift == 1);
        expect_sound(machine::guided_step(params, machine::element_of<T>()));
        for (int i = 0; i < count; ++i) {
          const double p = guided ? negative[i] + kGuidance * (positive[i] - negative[i]) : positive[i];
          const double wanted =
              stepped(x[i], p, noisy ? noise[i] : 0, steps[static_cast<size_t>(step)], prediction);
          const StepFactors& factors = table[static_cast<size_t>(step)];
          const double slack =
              4 * kUnit<float> *
              (std::fabs(factors.latents * x[i]) + std::fabs(factors.prediction) * (std::fabs(p) + 60) +
               std::fabs(noise[i]) + 1);
          EXPECT_NEAR(next[i], wanted, slack);
        }
        Numbers<float> both = x;  // next over latents
        GuidedStepParams over = params;
        over.latents = over.next = both.data();
        expect_sound(machine::guided_step(over, machine::element_of<T>()));
        for (int i = 0; i < count; ++i)
          EXPECT_NEAR(both[i], next[i], 4 * kUnit<float> * (std::fabs(next[i]) + 60));
      }
    }
  }
}

}  // namespace
}  // namespace brume::kernels::device
