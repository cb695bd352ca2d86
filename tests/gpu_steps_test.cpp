#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gpu_double.h"
#include "src/pipeline/finite.h"
#include "src/pipeline/pace.h"

// What goes between the steps on a GPU: how far the processor is ahead, and what it learns late.
namespace brume {
namespace {

using testing::GpuDouble;

TEST(Pace, IsTwoStepsAheadAtMostAndWaitsInOrder) {
  const GpuDouble gpu;
  Pace pace(&gpu);
  for (int64_t step = 1; step <= 9; ++step) {
    pace.step();
    EXPECT_EQ(gpu.count("mark"), step);
    EXPECT_EQ(gpu.count("wait"), std::max<int64_t>(step - 2, 0));
  }
  const std::vector<std::string> events = gpu.events();
  const std::vector<std::string> first(events.begin(), events.begin() + 6);
  EXPECT_EQ(first, (std::vector<std::string>{"mark 1", "mark 2", "mark 3", "wait 1", "mark 4", "wait 2"}));
  int64_t waited = 0;
  for (const std::string& event : events) {
    if (!event.starts_with("wait")) continue;
    EXPECT_EQ(event, "wait " + std::to_string(++waited));
  }
}

TEST(Pace, AsksNothingOfTheCpu) {
  Pace pace(nullptr);
  for (int i = 0; i < 5; ++i) pace.step();
}

/// [pictures, 3, 2], with a number that is not finite in those that are not sound.
at::Tensor stage_of(const std::vector<bool>& sound, bool is_nan) {
  at::Tensor stage = at::ones({static_cast<int64_t>(sound.size()), 3, 2});
  for (size_t i = 0; i < sound.size(); ++i) {
    if (!sound[i])
      stage[static_cast<int64_t>(i)][2][1] =
          is_nan ? std::numeric_limits<float>::quiet_NaN() : -std::numeric_limits<float>::infinity();
  }
  return stage;
}

TEST(FiniteCheck, NamesTheSameStagesLateAsAtOnce) {
  constexpr size_t kPictures = 4;
  constexpr int kStages = 5;
  std::mt19937 random(3);
  const auto one_in = [&](uint32_t many) { return random() % many == 0; };
  const GpuDouble gpu;
  for (int round = 0; round < 200; ++round) {
    FiniteCheck at_once(kPictures, nullptr);
    FiniteCheck late(kPictures, &gpu);
    std::vector<std::string> wanted(kPictures);
    for (int stage = 0; stage < kStages; ++stage) {
      const std::string name = "stage " + std::to_string(stage);
      const bool shared = one_in(5);
      std::vector<bool> sound(kPictures);
      for (size_t i = 0; i < kPictures; ++i) sound[i] = !one_in(6);
      if (shared) sound.assign(kPictures, sound.front());
      const at::Tensor tensor = stage_of(sound, one_in(2));
      for (FiniteCheck* check : {&at_once, &late}) {
        if (shared)
          check->look_at_shared(tensor.narrow(0, 0, 1), name);
        else
          check->look(tensor, name);
      }
      for (size_t i = 0; i < kPictures; ++i) {
        if (!sound[i] && wanted[i].empty()) wanted[i] = name;
      }
      if (one_in(4)) {
        EXPECT_EQ(late.failed_stage(1), wanted[1]);
      }
    }
    for (size_t i = 0; i < kPictures; ++i) {
      EXPECT_EQ(at_once.failed_stage(i), wanted[i]);
      EXPECT_EQ(late.failed_stage(i), wanted[i]);
    }
    EXPECT_EQ(at_once.all_failed(), late.all_failed());
  }
}

TEST(FiniteCheck, OfAGpuReadsNothingBeforeItIsAsked) {
  const GpuDouble gpu;
  FiniteCheck at_once(2, nullptr);
  FiniteCheck late(2, &gpu);
  for (FiniteCheck* check : {&at_once, &late}) check->look(stage_of({false, false}, true), "a step");
  EXPECT_TRUE(at_once.all_failed());
  EXPECT_FALSE(late.all_failed());
  EXPECT_EQ(late.failed_stage(0), "a step");
  EXPECT_TRUE(late.all_failed());
}

}  // namespace
}  // namespace brume
