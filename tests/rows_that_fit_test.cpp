#include "brume/unet/rows_that_fit.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "gpu_double.h"
#include "graph_memory.h"
#include "unet_calls.h"

// A UNet that has not the memory for all rows at a time.
namespace brume::testing {
namespace {

PreparedWords part_of(const PreparedWords& words, int64_t first, int64_t count) {
  PreparedWords part;
  for (const at::Tensor& one : words.keys_values) part.keys_values.push_back(one.narrow(0, first, count));
  for (int64_t i = 0; i < count && !words.changes.empty(); ++i)
    part.changes.push_back(words.changes[static_cast<size_t>(first + i)]);
  return part;
}

class FittingRows : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { start_anew(); }
  void start_anew() {
    fitting_.reset();
    gpu_ = std::make_unique<GpuDouble>();
    fitting_ = std::make_unique<RowsThatFit>(calls_.unet(), *gpu_, at::kFloat);
  }

  PredictedRows predict(const Given& given) { return (*fitting_)(given.latents, given.times, given.words); }

  /// By the UNet's own calls, for so many rows at a time.
  at::Tensor in_parts(const Given& given, int64_t count) const {
    std::vector<at::Tensor> parts;
    for (int64_t first = 0; first < given.latents.size(0); first += count)
      parts.push_back(
          calls_.own_call({given.latents.narrow(0, first, count), given.times.narrow(0, first, count),
                           part_of(given.words, first, count)}));
    return at::cat(parts);
  }

  /// Bytes that a call needs, and a bit.
  int64_t enough_for(const Given& given) {
    calls_.own_call(given);  // makes what the layers keep
    start_anew();
    const MemorySupply supply;
    predict(given);
    start_anew();
    constexpr int64_t kBit = 10;
    return supply.peak() + supply.peak() / kBit;
  }
  int64_t enough_for(const Shape& shape) { return enough_for(calls_.given(shape, 1)); }

  const c10::InferenceMode guard_;
  const UNetCalls calls_{GetParam()};
  std::unique_ptr<GpuDouble> gpu_;
  std::unique_ptr<RowsThatFit> fitting_;
};

TEST_P(FittingRows, GoTogetherWhereThereIsRoom) {
  const Given given = calls_.given({.rows = 4}, 1);
  const at::Tensor wanted = calls_.own_call(given);
  const MemorySupply supply({.bytes = enough_for(given)});
  for (int round = 0; round < 2; ++round) {
    const PredictedRows predicted = predict(given);
    EXPECT_FALSE(predicted.in_parts);
    EXPECT_TRUE(predicted.prediction.equal(wanted));
  }
  EXPECT_EQ(gpu_->events(), (std::vector<std::string>{"capture", "replay", "replay"}));
}

TEST_P(FittingRows, GoInHalvesWhichIsRemembered) {
  const Given given = calls_.given({.rows = 8}, 1);
  const Given other = calls_.given({.rows = 8}, 2);
  const Given few = calls_.given({.rows = 4}, 3);
  const at::Tensor wanted = in_parts(given, 4);
  const at::Tensor wanted_next = in_parts(other, 4);
  const MemorySupply supply({.bytes = enough_for(few)});
  const PredictedRows predicted = predict(given);
  EXPECT_TRUE(predicted.in_parts);
  EXPECT_TRUE(predicted.prediction.equal(wanted));
  EXPECT_EQ(gpu_->events(), (std::vector<std::string>{"capture", "give back", "capture", "give back",
                                                      "capture", "replay", "replay"}));
  const PredictedRows again = predict(other);
  EXPECT_TRUE(again.in_parts);
  EXPECT_TRUE(again.prediction.equal(wanted_next));
  EXPECT_FALSE(predict(few).in_parts);
  EXPECT_EQ(gpu_->count("capture"), 3);
}

TEST_P(FittingRows, GoOneByOneAtLast) {
  const Given given = calls_.given({.rows = 6}, 1);
  const at::Tensor wanted = in_parts(given, 1);
  const MemorySupply supply({.bytes = enough_for({.rows = 1})});
  const PredictedRows predicted = predict(given);
  EXPECT_TRUE(predicted.in_parts);
  EXPECT_TRUE(predicted.prediction.equal(wanted));
  EXPECT_EQ(gpu_->count("capture"), 5);  // of 6, 6 again, 3, 2 and 1
  EXPECT_EQ(gpu_->count("replay"), 6);
}

TEST_P(FittingRows, GoInPartsOfOneSize) {
  const Given given = calls_.given({.rows = 5}, 1);
  const at::Tensor wanted = in_parts(given, 1);
  const MemorySupply supply({.bytes = enough_for({.rows = 3})});
  EXPECT_TRUE(predict(given).prediction.equal(wanted));
  EXPECT_EQ(gpu_->graphs(), 1);
  EXPECT_EQ(gpu_->count("replay"), 5);
}

TEST_P(FittingRows, OfSmallPicturesGoTogetherInLargerNumbers) {
  const Given large = calls_.given({.rows = 8}, 1);
  const Given small = calls_.given({.rows = 8, .height = 3}, 2);
  const at::Tensor wanted = calls_.own_call(small);
  const MemorySupply supply({.bytes = enough_for(small)});
  EXPECT_TRUE(predict(large).in_parts);
  const PredictedRows predicted = predict(small);
  EXPECT_FALSE(predicted.in_parts);
  EXPECT_TRUE(predicted.prediction.equal(wanted));
}

TEST_P(FittingRows, ThrowWhereASingleOneHasNoRoom) {
  const Given given = calls_.given({.rows = 2}, 1);
  {
    const MemorySupply supply({.bytes = enough_for({.rows = 1}) / 2});
    EXPECT_THROW(predict(given), c10::OutOfMemoryError);
    EXPECT_EQ(gpu_->graphs(), 0);
    EXPECT_EQ(gpu_->events().back(), "give back");
  }
  EXPECT_TRUE(predict(given).prediction.equal(in_parts(given, 1)));
}

TEST_P(FittingRows, AreGivenTheRoomOfOthersBeforeTheyAreParted) {
  const Given one = calls_.given({.rows = 4}, 1);
  const Given other = calls_.given({.rows = 4, .tokens = 8}, 2);
  const at::Tensor wanted_of_one = calls_.own_call(one);
  const at::Tensor wanted_of_other = calls_.own_call(other);
  const MemorySupply supply({.bytes = enough_for(other)});
  const auto check = [&](const Given& given, const at::Tensor& wanted) {
    const PredictedRows predicted = predict(given);
    EXPECT_FALSE(predicted.in_parts);
    EXPECT_TRUE(predicted.prediction.equal(wanted));
    EXPECT_EQ(gpu_->graphs(), 1);
  };
  for (int round = 0; round < 2; ++round) {
    check(one, wanted_of_one);
    check(other, wanted_of_other);
  }
}

TEST_P(FittingRows, KeepTheirChanges) {
  Given given = calls_.given({.rows = 4}, 1);
  given.words.changes.resize(4);
  given.words.changes[1].free_u = FreeU{{1.2, 1.3}, {0.9, 0.8}};
  given.words.changes[3].perturbed = perturbed_layers(calls_.unet().config(), {"mid"});
  Given half = calls_.given({.rows = 2}, 1);
  half.words.changes.resize(2);
  half.words.changes[1] = given.words.changes[1];
  const at::Tensor wanted = in_parts(given, 2);
  const MemorySupply supply({.bytes = enough_for(half)});
  const PredictedRows predicted = predict(given);
  EXPECT_TRUE(predicted.in_parts);
  EXPECT_TRUE(predicted.prediction.equal(wanted));
  EXPECT_EQ(gpu_->count("capture"), 0);
}

class UnluckyRows : public FittingRows {};

TEST_P(UnluckyRows, AreWhatTheyWereWhicheverRequestForMemoryFails) {
  const Given first = calls_.given({.rows = 2}, 1);
  const Given second = calls_.given({.rows = 2}, 2);
  const at::Tensor wanted = calls_.own_call(first);
  const at::Tensor wanted_next = calls_.own_call(second);
  for (int64_t k = 1;; ++k) {
    start_anew();
    const MemorySupply supply({.failing = k});
    ASSERT_TRUE(predict(first).prediction.equal(wanted)) << k;
    ASSERT_TRUE(predict(second).prediction.equal(wanted_next)) << k;
    if (supply.requests() < k) break;
  }
}

TEST_P(UnluckyRows, AreThereInPartsWhicheverOfTheLastRequestsFails) {
  const Given given = calls_.given({.rows = 4}, 1);
  const at::Tensor by_two = in_parts(given, 2);
  const at::Tensor by_one = in_parts(given, 1);
  const int64_t enough = enough_for({.rows = 2});
  const auto requests_until = [&](int64_t failing) {
    start_anew();
    const MemorySupply supply({.bytes = enough, .failing = failing});
    const at::Tensor made = predict(given).prediction;
    EXPECT_TRUE(made.equal(by_two) || made.equal(by_one)) << failing;
    return supply.requests();
  };
  const int64_t all = requests_until(0);
  for (int64_t k = all - 10; k <= all; ++k) EXPECT_GE(requests_until(k), k);
}

INSTANTIATE_TEST_SUITE_P(Models, UnluckyRows, ::testing::Values("lcm"),
                         [](const auto& model) { return std::string(model.param); });
INSTANTIATE_TEST_SUITE_P(Models, FittingRows, ::testing::Values("sd1", "sdxl", "lcm"),
                         [](const auto& model) { return std::string(model.param); });

}  // namespace
}  // namespace brume::testing
