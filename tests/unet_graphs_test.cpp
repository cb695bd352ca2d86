#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "brume/unet/unet_graphs.h"
#include "gpu_double.h"
#include "unet_calls.h"

// The recorded calls of a UNet, on a double of a GPU.
namespace brume::testing {
namespace {

class Graphs : public ::testing::TestWithParam<const char*> {
 protected:
  PreparedWords words(const Shape& shape, uint64_t seed) const { return calls_.words(shape, seed); }
  Given given(const Shape& shape, uint64_t seed) const { return calls_.given(shape, seed); }
  at::Tensor own_call(const Given& given) const { return calls_.own_call(given); }
  at::Tensor recorded(const Given& given) { return graphs_(given.latents, given.times, given.words); }

  /// A row alone, until no other graph counts as in use.
  void call_for_long() {
    const Given one = given({.rows = 1}, 1);
    for (int i = 0; i < 16; ++i) recorded(one);
  }

  const c10::InferenceMode guard_;
  const UNetCalls calls_{GetParam()};
  GpuDouble gpu_;
  UNetGraphs graphs_{calls_.unet(), gpu_, at::kFloat};
};

TEST_P(Graphs, AreTheUNetsOwnCallRecordedOnceAShape) {
  const std::vector<Shape> shapes{{}, {.rows = 3}, {.height = 10}, {.tokens = 14}};
  for (uint64_t round = 0; round < 3; ++round) {
    for (const Shape& shape : shapes) {
      const Given one = given(shape, round);
      EXPECT_TRUE(recorded(one).equal(own_call(one)));
    }
  }
  EXPECT_EQ(gpu_.count("capture"), 4);
  EXPECT_EQ(gpu_.count("replay"), 12);
}

TEST_P(Graphs, AreTheLastFourThatWereUsed) {
  const auto captures = [&](int64_t rows) {
    const Given one = given({.rows = rows}, 1);
    EXPECT_TRUE(recorded(one).equal(own_call(one)));
    EXPECT_LE(gpu_.graphs(), 4);
    return gpu_.count("capture");
  };
  for (int64_t rows = 1; rows <= 4; ++rows) EXPECT_EQ(captures(rows), rows);
  call_for_long();
  EXPECT_EQ(captures(5), 5);  // goes in the place of 2, the longest unused
  for (const int64_t rows : {1, 3, 4, 5}) EXPECT_EQ(captures(rows), 5);
  call_for_long();
  EXPECT_EQ(captures(2), 6);
}

TEST_P(Graphs, AreNotRecordedInTurnsWhereMoreAreInUse) {
  for (uint64_t round = 0; round < 4; ++round) {
    for (int64_t rows = 1; rows <= 6; ++rows) {
      const Given one = given({.rows = rows}, round);
      EXPECT_TRUE(recorded(one).equal(own_call(one)));
    }
  }
  EXPECT_EQ(gpu_.count("capture"), 4);
  EXPECT_EQ(gpu_.count("replay"), 16);
}

TEST_P(Graphs, CopyWordsOnlyWhenOthersCome) {
  const Given first = given({}, 1);
  const at::Tensor wanted = own_call(first);
  EXPECT_TRUE(recorded(first).equal(wanted));
  // Nobody writes into words; here it shows that they were not looked at again.
  for (const at::Tensor& one : first.words.keys_values) one.zero_();
  EXPECT_TRUE(recorded(first).equal(wanted));
}

TEST_P(Graphs, CopyWordsWheneverOthersCome) {
  const Given first = given({}, 1);
  Given second = first;
  second.words = words({}, 2);
  EXPECT_FALSE(own_call(second).equal(own_call(first)));
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(recorded(first).equal(own_call(first)));
    EXPECT_TRUE(recorded(second).equal(own_call(second)));
  }
  EXPECT_EQ(gpu_.count("capture"), 1);
}

TEST_P(Graphs, CopyWordsOfWhichOneTensorIsAnother) {
  Given one = given({}, 1);
  recorded(one);
  const PreparedWords others = words({}, 2);
  one.words.keys_values.back() = others.keys_values.back();
  EXPECT_TRUE(recorded(one).equal(own_call(one)));
}

TEST_P(Graphs, KnowNewWordsFromThoseThatLayThereBefore) {
  Given one = given({}, 0);
  const auto each = [](PreparedWords& words, const auto& change) {
    for (at::Tensor& tensor : words.keys_values) change(tensor);
  };
  std::vector<at::Tensor> places;  // stay where they are
  each(one.words, [&](const at::Tensor& tensor) { places.push_back(tensor.clone()); });
  for (uint64_t seed = 1; seed < 5; ++seed) {
    PreparedWords others = words({}, seed);
    size_t i = 0;
    each(others, [&](const at::Tensor& tensor) { places[i++].copy_(tensor); });
    i = 0;
    each(one.words, [&](at::Tensor& tensor) {
      const at::Tensor& place = places[i++];
      tensor.reset();  // the next one may have its address, and has its contents'
      tensor = at::from_blob(place.data_ptr(), place.sizes());
    });
    EXPECT_TRUE(recorded(one).equal(own_call(one))) << seed;
  }
}

TEST_P(Graphs, LeaveResultsAsTheyWere) {
  const Given one = given({}, 1);
  const at::Tensor result = recorded(one);
  recorded(given({}, 2));
  EXPECT_TRUE(result.equal(own_call(one)));
  for (const int64_t rows : {1, 3, 4}) recorded(given({.rows = rows}, 3));
  call_for_long();
  recorded(given({.rows = 5}, 3));  // the graph goes
  EXPECT_EQ(gpu_.count("capture"), 5);
  EXPECT_TRUE(result.equal(own_call(one)));
}

TEST_P(Graphs, LeaveNothingOfARecordingThatFailed) {
  const Given one = given({}, 1);
  const Given other = given({.rows = 1}, 2);
  recorded(other);
  for (int round = 0; round < 2; ++round) {
    gpu_.fail_capture(1);
    EXPECT_THROW(recorded(one), c10::OutOfMemoryError);
    EXPECT_TRUE(recorded(other).equal(own_call(other)));
  }
  EXPECT_TRUE(recorded(one).equal(own_call(one)));
  EXPECT_EQ(gpu_.count("capture"), 4);
  EXPECT_EQ(gpu_.graphs(), 2);
}

TEST_P(Graphs, MayBeCalledFromSeveralThreads) {
  const auto call_often = [&](int64_t rows) {
    const c10::InferenceMode guard;
    for (uint64_t seed = 0; seed < 8; ++seed) {
      const Given one = given({.rows = rows}, seed);
      EXPECT_TRUE(recorded(one).equal(own_call(one)));
    }
  };
  std::thread beside(call_often, 2);
  std::thread beside_too(call_often, 2);
  call_often(3);
  beside.join();
  beside_too.join();
  EXPECT_EQ(gpu_.count("capture"), 2);
}

INSTANTIATE_TEST_SUITE_P(Models, Graphs, ::testing::Values("sd1", "sdxl", "lcm"),
                         [](const auto& model) { return std::string(model.param); });

}  // namespace
}  // namespace brume::testing
