#include "brume/bench/baseline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "message_of.h"
#include "sample_report.h"
#include "temporary_directory.h"

namespace brume::bench {
namespace {

using nlohmann::json;
/// What is said of a file that cannot be a baseline.
template <class Action>
std::string refusal(Action action) {
  return message_of(action, ExitCode::kInputInvalid);
}

class BaselineFile : public TemporaryDirectory {
 protected:
  std::filesystem::path write(const json& object) const {
    std::ofstream(directory_ / "old.json") << object;
    return directory_ / "old.json";
  }
  /// What is said of a file in which one value is another; nullptr: is missing.
  std::string said_of(const char* key, const json& value) const {
    json object = to_json(sample_report());
    if (value.is_null()) {
      object.erase(key);
    } else {
      object[key] = value;
    }
    const std::filesystem::path path = write(object);
    return refusal([&] { Baseline::read(path).check_comparable(sample_report().result.workload); });
  }
};

TEST_F(BaselineFile, IsWhatWasWritten) {
  const Baseline baseline = Baseline::read(write(to_json(sample_report())));
  EXPECT_EQ(baseline.steps_per_second, 20);
  EXPECT_EQ(baseline.pictures_per_second, 0.8);
  EXPECT_EQ(baseline.machine.threads, 2);
  EXPECT_EQ(baseline.steps_interval->low, 20);
  EXPECT_EQ(baseline.pictures_interval->high, 0.8);
  baseline.check_comparable(sample_report().result.workload);
}

TEST_F(BaselineFile, HasTheIntervalsOfItsSpeeds) {
  json object = to_json(sample_report());
  const auto with_interval = [&](const json& interval) {
    object["rounds"]["interval_ms"] = interval;
    return Baseline::read(write(object)).pictures_interval;
  };
  EXPECT_NEAR(with_interval({2000, 4000})->low, 0.5, 1e-9);
  EXPECT_NEAR(with_interval({2000, 4000})->high, 1, 1e-9);
  EXPECT_FALSE(with_interval(nullptr));
  for (const json& wrong : {json{2600, 4000}, json{0, 4000}, json{2000}, json{2000, "4000"}, json("wide")})
    EXPECT_NE(refusal([&] { with_interval(wrong); }).find("/rounds/interval_ms is no interval"),
              std::string::npos)
        << wrong;
  object.erase("rounds");
  EXPECT_FALSE(Baseline::read(write(object)).pictures_interval);
}

TEST_F(BaselineFile, OfOtherWorkIsRefused) {
  EXPECT_NE(said_of("arch", "sdxl").find("arch is sdxl, but this run's is sd15"), std::string::npos);
  EXPECT_NE(said_of("width", 768).find("width is 768, but this run's is 512"), std::string::npos);
  EXPECT_NE(said_of("height", 768).find("height"), std::string::npos);
  EXPECT_NE(said_of("batch_size", 1).find("batch_size"), std::string::npos);
  EXPECT_NE(said_of("steps", 30).find("steps"), std::string::npos);
  EXPECT_NE(said_of("sampler", "ddpm").find("sampler"), std::string::npos);
  EXPECT_NE(said_of("cfg_scale", 1).find("guidance is off"), std::string::npos);
  EXPECT_NE(said_of("dtype", "bf16").find("dtype"), std::string::npos);
  EXPECT_NE(said_of("device", "cuda").find("device"), std::string::npos);
  EXPECT_NE(said_of("weights", "model").find("weights"), std::string::npos);
  EXPECT_NE(said_of("options", {{"pag_scale", "4"}}).find("pag_scale is 4, but this run's is 3"),
            std::string::npos);
  EXPECT_NE(said_of("options", json::object()).find("pag_scale is not used, but this run's is 3"),
            std::string::npos);
  EXPECT_NE(said_of("format", "brume.bench/2").find("pag_scale is not used"), std::string::npos);
}

TEST_F(BaselineFile, ThatIsNoResultIsRefused) {
  EXPECT_NE(said_of("format", "other").find("is not a result of brume bench"), std::string::npos);
  EXPECT_NE(said_of("format", nullptr).find("is not a result"), std::string::npos);
  EXPECT_NE(said_of("steps_per_second", nullptr).find("steps_per_second is missing"), std::string::npos);
  EXPECT_NE(said_of("steps_per_second", "20").find("is not a number"), std::string::npos);
  EXPECT_NE(said_of("steps_per_second", 0).find("is not above zero"), std::string::npos);
  EXPECT_NE(said_of("width", 512.5).find("is not a whole number"), std::string::npos);
  EXPECT_NE(said_of("arch", 15).find("is not a text"), std::string::npos);
  EXPECT_NE(said_of("options", 15).find("is not an object"), std::string::npos);
  EXPECT_NE(said_of("options", {{"pag_scale", 3}}).find("options.pag_scale is not a text"),
            std::string::npos);
  std::ofstream(directory_ / "list.json") << "[]";
  EXPECT_NE(refusal([&] { Baseline::read(directory_ / "list.json"); }).find("is not a result"),
            std::string::npos);
  std::ofstream(directory_ / "half.json") << "{\"format\": ";
  EXPECT_NE(refusal([&] { Baseline::read(directory_ / "half.json"); }), "");
  EXPECT_NE(refusal([&] { Baseline::read(directory_ / "none.json"); }), "");
}

/// The sample's 20 steps and 0.8 pictures a second beside others, with intervals that reach so far to both
/// sides.
Comparison beside(double steps, double pictures, double reach, double max_regress) {
  const Result result = sample_report().result;
  Baseline baseline{.file = "old.json", .workload = result.workload, .machine = result.machine};
  baseline.steps_per_second = steps;
  baseline.pictures_per_second = pictures;
  baseline.steps_interval = {steps * (1 - reach), steps * (1 + reach)};
  baseline.pictures_interval = {pictures * (1 - reach), pictures * (1 + reach)};
  return compare(result, baseline, max_regress);
}

TEST(Comparisons, AllowWhatIsAllowed) {
  EXPECT_TRUE(beside(20.5, 0.8, 0, 0.03).failures().empty());
  EXPECT_EQ(beside(20.5, 0.8, 0, 0.02).failures().size(), 1U);
  const std::vector<std::string> failures = beside(20.5, 1, 0, 0.03).failures();
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0], "pictures a second fell by 20.0%, more than the 3.0% allowed");
  EXPECT_TRUE(beside(10, 0.1, 0, 0).failures().empty()) << "faster is no fault";
  for (const double limit : {0.02, 0.03}) EXPECT_TRUE(beside(20.5, 0.8, 0, limit).doubts().empty());
}

TEST(Comparisons, AreOnlyAsSureAsTheirIntervals) {
  // 10 % slower, as 20 is beside 22.2, and 2 % to both sides.
  const auto steps = [](double reach, double max_regress) {
    return beside(20 / 0.9, 0.7, reach, max_regress);
  };
  EXPECT_EQ(steps(0.02, 0.05).failures().size(), 1U);
  EXPECT_TRUE(steps(0.02, 0.05).doubts().empty());
  EXPECT_TRUE(steps(0.02, 0.09).failures().empty()) << "it may be 8 %";
  ASSERT_EQ(steps(0.02, 0.09).doubts().size(), 1U);
  EXPECT_EQ(steps(0.02, 0.09).doubts()[0],
            "steps a second: the change is from -11.8% to -8.2%, and 9.0% slower is allowed; more time or a "
            "quieter "
            "machine tells");
  EXPECT_TRUE(steps(0.02, 0.11).failures().empty());
  EXPECT_EQ(steps(0.02, 0.11).doubts().size(), 1U) << "it may be 12 %";
  EXPECT_TRUE(steps(0.02, 0.12).doubts().empty());
  EXPECT_TRUE(beside(10, 0.4, 0.2, 0.03).doubts().empty()) << "as wide as it may be, it is faster";
}

TEST(Comparisons, OfTooFewRoundsDecideNothing) {
  Report report = sample_report();
  const Comparison with = beside(20, 0.8, 0, 0.03);
  EXPECT_TRUE(with.doubts().empty());
  report.result.rounds.resize(5);
  EXPECT_EQ(compare(report.result, with.baseline, 0.03).doubts().size(), 1U);
  Baseline without = with.baseline;
  without.steps_interval.reset();
  without.steps_per_second = 1e9;
  const Comparison comparison = compare(sample_report().result, without, 0.03);
  EXPECT_TRUE(comparison.failures().empty());
  ASSERT_EQ(comparison.doubts().size(), 1U);
  EXPECT_NE(comparison.doubts()[0].find("fewer than six rounds"), std::string::npos);
}

TEST(Comparisons, SayWhatElseDiffers) {
  Result result = sample_report().result;
  Baseline baseline{.file = "old.json", .workload = result.workload, .machine = result.machine};
  baseline.steps_per_second = 20;
  baseline.pictures_per_second = 0.8;
  EXPECT_TRUE(compare(result, baseline, 0.03).remarks(result).empty());
  baseline.machine = {.version = "brume 0.0.9", .device_name = "Other", .threads = 64, .instruction_set = ""};
  EXPECT_EQ(compare(result, baseline, 0.03).remarks(result).size(), 3U);
}

}  // namespace
}  // namespace brume::bench
