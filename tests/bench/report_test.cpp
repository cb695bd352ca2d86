#include "brume/bench/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "json_schema.h"
#include "sample_report.h"

namespace brume::bench {
namespace {

using nlohmann::json;
using testing::schema_faults;

json schema() { return testing::read_json(BRUME_PROJECT "/docs/bench.schema.json"); }

bool any_holds(const std::vector<std::string>& lines, const std::string& part) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// Beside a baseline, with a picture error.
Report full_report() {
  Report report = sample_report();
  Baseline baseline;
  baseline.file = "old & good.json";
  baseline.workload = report.result.workload;
  baseline.machine = report.result.machine;
  baseline.steps_per_second = 25;
  baseline.pictures_per_second = 0.8;
  baseline.steps_interval = {25, 25};
  baseline.pictures_interval = {0.8, 0.8};
  report.comparison = compare(report.result, baseline, 0.03);
  PictureError error;
  error.add({1, 1, {0, 0, 3}}, {1, 1, {0, 0, 0}});
  report.error = error;
  report.limits = {.max_abs = 2, .min_psnr = {}};
  report.result.profile = {{"brume::linear", 40, 0.15, 30e9}, {"aten::add", 2, 0.05, 0}};
  return report;
}

TEST(BenchReport, SpeedsCountEveryPictureOfTheBatch) {
  const Result result = sample_report().result;
  EXPECT_DOUBLE_EQ(result.steps_per_second(), 20);
  EXPECT_DOUBLE_EQ(result.pictures_per_second(), 0.8);
  EXPECT_DOUBLE_EQ(*result.step.rate(), 200e9);
  EXPECT_FALSE(result.decode.rate());
}

TEST(BenchReport, JsonFitsItsSchema) {
  for (const Report& report : {sample_report(), full_report()})
    EXPECT_EQ(schema_faults(schema(), to_json(report)), std::vector<std::string>{});
}

TEST(BenchReport, AProfileHasSharesAndRates) {
  const json profile = to_json(full_report())["profile"];
  EXPECT_DOUBLE_EQ(profile[0]["percent"], 75);
  EXPECT_DOUBLE_EQ(profile[0]["gflop_per_second"], 200);
  EXPECT_TRUE(profile[1]["gflop"].is_null());
  EXPECT_TRUE(to_json(sample_report())["profile"].is_null());
  EXPECT_NE(to_table(full_report()).find("brume::linear"), std::string::npos);
  EXPECT_EQ(to_table(sample_report()).find("operation"), std::string::npos);
}

TEST(BenchReport, JsonOfFewSamplesFitsItsSchema) {
  Report report = sample_report();
  report.result.rounds = {2.5};
  report.result.text.seconds = {0.02};
  report.result.conditions.waited_share = {};
  report.result.conditions.throttle_events = {};
  EXPECT_EQ(schema_faults(schema(), to_json(report)), std::vector<std::string>{});
}

// The schema test tests: a schema that lets everything pass would be no schema.
TEST(BenchReport, TheSchemaSeesFaults) {
  const json good = to_json(full_report());
  const auto faulty = [&](const char* pointer, const json& value) {
    json bad = good;
    bad[json::json_pointer(pointer)] = value;
    return !schema_faults(schema(), bad).empty();
  };
  EXPECT_TRUE(faulty("/format", "brume.bench/5"));
  EXPECT_TRUE(faulty("/unheard_of", 1));
  EXPECT_TRUE(faulty("/steps_per_second", "fast"));
  EXPECT_TRUE(faulty("/steps_per_second", -1));
  EXPECT_TRUE(faulty("/width", 1.5));
  EXPECT_TRUE(faulty("/dtype", "int4"));
  EXPECT_TRUE(faulty("/components/unet_step/interval_ms", {1}));
  EXPECT_TRUE(faulty("/comparison/steps_per_second", 0));
  EXPECT_TRUE(faulty("/error/max_abs", 256));
  for (const auto& [key, value] : good.items()) {
    json bad = good;
    bad.erase(key);
    EXPECT_FALSE(schema_faults(schema(), bad).empty()) << key << " may be missing";
  }
}

TEST(BenchReport, JsonHoldsTheFigures) {
  const json object = to_json(sample_report());
  EXPECT_EQ(object["steps_per_second"], 20);
  EXPECT_EQ(object["pictures_per_second"], 0.8);
  EXPECT_EQ(object["text_encode_ms"], 20);
  EXPECT_EQ(object["unet_step_ms"], 100);
  EXPECT_EQ(object["vae_decode_ms"], 200);
  EXPECT_EQ(object["load_ms"], 1500);
  EXPECT_EQ(object["components"]["unet_step"]["gflop_per_second"], 200);
  EXPECT_EQ(object["components"]["unet_step"]["percent_of_peak"], 50);
  EXPECT_TRUE(object["components"]["vae_decode"]["gflop"].is_null());
  EXPECT_EQ(object["verdict"]["passed"], true);
}

TEST(BenchReport, TroubleIsSaid) {
  Report report = sample_report();
  EXPECT_FALSE(any_holds(report.remarks(), "drift"));
  EXPECT_FALSE(any_holds(report.remarks(), "slower device"));
  EXPECT_FALSE(any_holds(report.remarks(), "busy"));
  EXPECT_FALSE(any_holds(report.remarks(), "not settled"));
  Result& result = report.result;
  std::fill(result.step.seconds.begin() + 150, result.step.seconds.end(), 0.12);
  result.conditions.peak_after = 300e9;
  result.conditions.waited_share = 0.3;
  result.conditions.throttle_events = 4;
  result.converged = false;
  result.repeatable = false;
  EXPECT_TRUE(any_holds(report.remarks(), "drift: the last third of the steps took 20.0% longer"));
  EXPECT_TRUE(any_holds(report.remarks(), "ran 25.0% slower"));
  EXPECT_TRUE(any_holds(report.remarks(), "30.0% of the time other programs"));
  EXPECT_TRUE(any_holds(report.remarks(), "4 times for heat"));
  EXPECT_TRUE(any_holds(report.remarks(), "not settled"));
  EXPECT_TRUE(any_holds(report.remarks(), "other pictures"));
  EXPECT_EQ(report.verdict(), Verdict::kPassed) << "a remark is no verdict";
}

TEST(BenchReport, OneVerdictOfSpeedAndPictures) {
  Report report = full_report();
  EXPECT_EQ(report.verdict(), Verdict::kFailed);
  EXPECT_EQ(report.failures().size(), 2U);
  EXPECT_TRUE(any_holds(report.failures(), "steps a second fell by 20.0%, more than the 3.0% allowed"));
  EXPECT_TRUE(any_holds(report.failures(), "up to 3 of 255, more than the 2 allowed"));
  report.limits.max_abs = 3;
  EXPECT_EQ(report.failures().size(), 1U);
  report.limits.min_psnr = 90;
  EXPECT_TRUE(any_holds(report.failures(), "dB"));
  report.limits.min_psnr = {};
  report.comparison->max_regress = 0.2;
  EXPECT_EQ(report.verdict(), Verdict::kPassed);
  report.result.failed_stage = "decoded picture";
  EXPECT_EQ(report.verdict(), Verdict::kFailed);
}

TEST(BenchReport, WhatTheIntervalsDoNotTellIsUndecided) {
  Report report = full_report();
  report.limits.max_abs = 3;
  report.comparison->steps.interval = {-0.21, 0};
  EXPECT_EQ(report.verdict(), Verdict::kUndecided);
  EXPECT_EQ(schema_faults(schema(), to_json(report)), std::vector<std::string>{});
  EXPECT_EQ(to_json(report)["verdict"]["passed"], false);
  EXPECT_EQ(to_json(report)["comparison"]["steps_change_interval_percent"], (json{-21, 0}));
  EXPECT_NE(to_table(report).find("verdict        undecided"), std::string::npos);
  EXPECT_NE(to_html(report).find("Verdict: undecided"), std::string::npos);
  report.limits.max_abs = 2;
  EXPECT_EQ(report.verdict(), Verdict::kFailed) << "by its pictures";
  report.comparison->steps.interval.reset();
  EXPECT_EQ(schema_faults(schema(), to_json(report)), std::vector<std::string>{});
}

TEST(BenchReport, TheTableIsNarrowEnoughForATerminal) {
  const std::string table = to_table(full_report());
  EXPECT_NE(table.find("sd15 (random weights), 512x512, batch 2, 20 steps of ddim, guidance 7, fp32"),
            std::string::npos);
  EXPECT_NE(table.find("verdict        failed"), std::string::npos);
  EXPECT_NE(table.find("50.0%"), std::string::npos);
  EXPECT_NE(table.find("3.0 GiB"), std::string::npos);
}

TEST(BenchReport, ThePageNeedsNothingButItself) {
  const std::string page = to_html(full_report());
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  EXPECT_TRUE(page.ends_with("</body></html>\n"));
  for (const char* outside : {"<script", "<link", "<img", "http://", "https://", "url(", "@import"})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  EXPECT_EQ(count_of(page, "<svg "), count_of(page, "</svg>"));
  EXPECT_EQ(count_of(page, "<svg "), 7U)
      << "shares, operations, two beside the baseline, steps, their spread, batches";
  EXPECT_EQ(count_of(page, "<circle "), 210U) << "a mark for every step and every round";
  EXPECT_NE(page.find("Verdict: failed"), std::string::npos);
  EXPECT_NE(page.find("A &lt;fast&gt; CPU"), std::string::npos);
  EXPECT_NE(page.find("old &amp; good.json"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find("inf"), std::string::npos);
}

TEST(BenchReport, APageOfManySamplesStaysSmall) {
  Report report = sample_report();
  report.result.step.seconds.assign(1'000'000, 0.1);
  report.result.step.seconds[777'777] = 9;  // what stands out is kept
  const std::string page = to_html(report);
  EXPECT_LT(page.size(), 300'000U);
  EXPECT_NE(page.find("1000000 samples"), std::string::npos);
  EXPECT_NE(page.find("9450 ms"), std::string::npos) << "the axis ends above the largest";
}

TEST(PictureErrors, AreCountedOverAllValues) {
  PictureError error;
  error.add({2, 1, {10, 20, 30, 40, 50, 60}}, {2, 1, {10, 20, 30, 40, 50, 60}});
  EXPECT_EQ(error.max_abs(), 0);
  EXPECT_FALSE(error.psnr());
  error.add({2, 1, {0, 0, 0, 0, 0, 0}}, {2, 1, {0, 0, 0, 0, 0, 12}});
  EXPECT_EQ(error.pictures(), 2);
  EXPECT_EQ(error.max_abs(), 12);
  EXPECT_NEAR(*error.psnr(), 37.339, 1e-3);  // 10 log10(255^2 / (144 / 12))
}

}  // namespace
}  // namespace brume::bench
