#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/machine/host_wide.h"
#include "tests/machine/machine.h"

// Attention by row blocks: the walk over the blocks with products done here, and the softmax kernel and the
// whole on a machine.
namespace brume::kernels {
namespace {

using device::Bfloat16;
using device::Half;

template <class T = Half>
std::vector<T> random_halves(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<T> values(count);
  for (T& value : values) value = device::from_float<T>(normal(random));
  return values;
}

template <class T>
std::vector<T> softmax(const std::vector<float>& scores, int rows, int columns) {
  std::vector<T> weights(scores.size());
  const auto report =
      machine::softmax_rows(scores.data(), weights.data(), rows, columns, machine::element_of<T>());
  EXPECT_TRUE(report.faults.empty()) << report.faults.front();
  EXPECT_EQ(report.bank_conflicts, 0);  // one lane writes, then all read the same
  return weights;
}

template <class T>
void expect_softmax(const std::vector<float>& scores, int rows, int columns, double unit) {
  const std::vector<T> weights = softmax<T>(scores, rows, columns);
  for (int row = 0; row < rows; ++row) {
    const auto at = [&](int column) { return static_cast<size_t>(row * columns + column); };
    double peak = -std::numeric_limits<double>::infinity();
    for (int i = 0; i < columns; ++i) peak = std::max(peak, double{scores[at(i)]});
    double sum = 0;
    for (int i = 0; i < columns; ++i) sum += std::exp(double{scores[at(i)]} - peak);
    for (int i = 0; i < columns; ++i) {
      const double wanted = std::exp(double{scores[at(i)]} - peak) / sum;
      ASSERT_NEAR(double{to_float(weights[at(i)])}, wanted, unit * wanted + 1e-7) << row << " " << i;
    }
  }
}

TEST(SoftmaxRows, AgreesForAnyLength) {
  std::mt19937 random(3);
  for (const int columns : {1, 2, 31, 255, 256, 257, 1000}) {
    for (const float scale : {0.0F, 1.0F, 100.0F}) {
      std::normal_distribution<float> normal(0, 1);
      std::vector<float> scores(static_cast<size_t>(3 * columns));
      for (float& score : scores) score = scale * normal(random);
      expect_softmax<Half>(scores, 3, columns, 0x1p-10);
      expect_softmax<Bfloat16>(scores, 3, columns, 0x1p-7);
    }
  }
}

TEST(SoftmaxRows, EqualHugeScoresAreEqualWeights) {
  for (const float score : {1e3F, 1e5F, 8e6F, 1e30F}) {
    const std::vector<Half> weights = softmax<Half>(std::vector<float>(1024, score), 1, 1024);
    for (const Half weight : weights) ASSERT_EQ(to_float(weight), 1.0F / 1024) << score;
  }
}

/// As attention_params.h says.
TEST(SoftmaxRows, InfinitiesAreWeightsOfZero) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> scores(1200, -kInfinity);
  scores[299] = 5;  // the only finite one of the first row; the second has none
  scores[610] = kInfinity;
  scores[910] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<Half> weights = softmax<Half>(scores, 4, 300);
  for (size_t i = 0; i < 600; ++i) EXPECT_EQ(to_float(weights[i]), i == 299 ? 1.0F : 0.0F);
  // One is enough for a sum over the values of nan.
  EXPECT_TRUE(std::isnan(to_float(weights[610])));
  EXPECT_TRUE(std::isnan(to_float(weights[910])));
}

int plain_softmax(const float* scores, void* weights, int32_t rows, int32_t keys) {
  const std::vector<Half> result =
      softmax<Half>({scores, scores + static_cast<ptrdiff_t>(rows) * keys}, rows, keys);
  std::copy(result.begin(), result.end(), static_cast<Half*>(weights));
  return 0;
}

TEST(WideAttention, WalksOverPicturesAndBlocks) {
  // So many keys that the 70 query rows make two blocks; q, k and v of three packed projections
  // [picture, token, parts, width], each of other parts, and gaps in the result.
  const WideShape shape{2, 70, 65000, 8};
  ASSERT_LT(wide_block_rows(shape), shape.queries);
  const auto width = static_cast<int64_t>(shape.head_dim);
  std::vector<Half> q = random_halves(static_cast<size_t>(2 * 70 * 3 * 8), 1);
  std::vector<Half> k = random_halves(static_cast<size_t>(2) * 65000 * 2 * 8, 2);
  std::vector<Half> v = random_halves(static_cast<size_t>(2) * 65001 * 8, 3);
  std::vector<Half> out(static_cast<size_t>(2 * 75 * 16));
  std::vector<std::byte> workspace(wide_workspace_bytes(shape));
  const AttentionParams params{.q = q.data() + width,
                               .k = k.data() + width,
                               .v = v.data(),
                               .out = out.data(),
                               .q_strides = {70 * 3 * width, 3 * width, 0},
                               .k_strides = {65000 * 2 * width, 2 * width, 0},
                               .v_strides = {65001 * width, width, 0},
                               .out_strides = {75 * 2 * width, 2 * width, 0},
                               .queries = 70,
                               .keys = 65000,
                               .scale_log2 = 1.4426950F / std::sqrt(8.0F)};
  // The products are slow here: the rows that are compared are the only ones computed.
  int products = 0;
  int rows = 0;
  const auto product = [&](MatrixProduct one) {
    ++products;
    rows += one.rows;
    one.rows = 2;
    return machine::multiply<Half>(one);
  };
  const auto rows_softmax = [](const float* scores, void* weights, int32_t, int32_t keys) {
    return plain_softmax(scores, weights, 2, keys);
  };
  ASSERT_EQ(wide_attention(params, shape, workspace.data(), {product, rows_softmax}), 0);
  EXPECT_EQ(products, 2 * 2 * 2);
  EXPECT_EQ(rows, 2 * 2 * 70);  // every row of both pictures, by both products
  for (const int picture : {0, 1}) {
    for (const int token : {0, wide_block_rows(shape) + 1}) {
      std::vector<double> sums(8);
      double all = 0;
      for (int64_t key = 0; key < 65000; ++key) {
        double dot = 0;
        for (int64_t i = 0; i < 8; ++i)
          dot += double{to_float(q[static_cast<size_t>(((picture * 70 + token) * 3 + 1) * 8 + i)])} *
                 double{to_float(k[static_cast<size_t>((picture * 65000 + key) * 16 + 8 + i)])};
        const double weight = std::exp(dot / std::sqrt(8.0));
        all += weight;
        for (int64_t i = 0; i < 8; ++i)
          sums[static_cast<size_t>(i)] +=
              weight * double{to_float(v[static_cast<size_t>((picture * 65001 + key) * 8 + i)])};
      }
      for (int64_t i = 0; i < 8; ++i) {
        EXPECT_NEAR(double{to_float(out[static_cast<size_t>((picture * 75 + token) * 16 + i)])},
                    sums[static_cast<size_t>(i)] / all, 2e-3)
            << picture << " " << token;
      }
    }
  }
}

/// Rows of a packed projection [picture, token, qkv, width] against softmax(q k^T / sqrt(width)) v.
template <class T>
void expect_whole(const WideShape& shape, double tolerance) {
  const auto width = static_cast<int64_t>(shape.head_dim);
  const auto tokens = static_cast<int64_t>(shape.queries);
  const std::vector<T> packed = random_halves<T>(static_cast<size_t>(shape.batch * tokens * 3 * width), 7);
  std::vector<T> out(static_cast<size_t>(shape.batch * tokens * width));
  std::vector<std::byte> workspace(wide_workspace_bytes(shape));
  const TokenStrides strides{tokens * 3 * width, 3 * width, 0};
  const AttentionParams params{.q = packed.data(),
                               .k = packed.data() + width,
                               .v = packed.data() + 2 * width,
                               .out = out.data(),
                               .q_strides = strides,
                               .k_strides = strides,
                               .v_strides = strides,
                               .out_strides = {tokens * width, width, 0},
                               .queries = shape.queries,
                               .keys = shape.keys,
                               .scale_log2 = 1.4426950F / std::sqrt(static_cast<float>(width))};
  const auto report = machine::wide_attention(params, shape, workspace.data(), machine::element_of<T>());
  ASSERT_TRUE(report.faults.empty()) << report.faults.front();
  const auto at = [&](int64_t picture, int64_t token, int64_t part, int64_t i) {
    const int64_t place = ((picture * tokens + token) * 3 + part) * width + i;
    return double{to_float(packed[static_cast<size_t>(place)])};
  };
  for (int64_t row = 0; row < shape.batch * tokens; ++row) {
    const int64_t picture = row / tokens;
    std::vector<double> sums(static_cast<size_t>(width));
    double all = 0;
    for (int64_t key = 0; key < tokens; ++key) {
      double dot = 0;
      for (int64_t i = 0; i < width; ++i) dot += at(picture, row % tokens, 0, i) * at(picture, key, 1, i);
      const double weight = std::exp(dot / std::sqrt(static_cast<double>(width)));
      all += weight;
      for (int64_t i = 0; i < width; ++i) sums[static_cast<size_t>(i)] += weight * at(picture, key, 2, i);
    }
    for (int64_t i = 0; i < width; ++i) {
      ASSERT_NEAR(double{to_float(out[static_cast<size_t>(row * width + i)])},
                  sums[static_cast<size_t>(i)] / all, tolerance)
          << row << " " << i;
    }
  }
}

TEST(WideAttention, AgreesWithTheFormula) {
  expect_whole<Half>({2, 70, 70, 512}, 4e-3);
  expect_whole<Bfloat16>({1, 33, 33, 512}, 3e-2);
  expect_whole<Half>({1, 300, 300, 64}, 4e-3);
}

TEST(WideAttention, StopsAtTheFirstError) {
  const WideShape shape{1, 4, 4, 8};
  std::vector<std::byte> workspace(wide_workspace_bytes(shape));
  int calls = 0;
  const auto fails = [&](const MatrixProduct&) {
    ++calls;
    return 7;
  };
  EXPECT_EQ(wide_attention({}, shape, workspace.data(), {fails, plain_softmax}), 7);
  EXPECT_EQ(calls, 1);
}

TEST(WideAttention, NoKeysAreNoWork) {
  EXPECT_EQ(wide_attention({}, {1, 4, 0, 8}, nullptr, {}), 0);
  EXPECT_EQ(wide_workspace_bytes({1, 4, 0, 8}), 0U);
}

TEST(WideAttention, BlocksStayWithinTheCache) {
  for (const int tokens : {64, 4096, 9216, 16384, 65536}) {
    const WideShape shape{1, tokens, tokens, 512};
    EXPECT_GE(wide_block_rows(shape), std::min(tokens, 64));
    EXPECT_LE(wide_workspace_bytes(shape), size_t{26} << 20) << tokens;
  }
}

}  // namespace
}  // namespace brume::kernels
