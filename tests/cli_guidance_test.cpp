#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "brume/image/png.h"
#include "cli_batch_fixture.h"

namespace brume::testing {
namespace {

/// Whose random numbers, and what else there is beside the plain guidance, as somebody types it.
class GuidanceCommand : public BatchCommand {
 protected:
  std::vector<uint8_t> drawn(const Words& more) const {
    Words words{"-p", "a fox", "-n", "fog", "--cfg-scale", "5", "--steps", "4", "-o", "x.png"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = generate(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return pixels("x.png");
  }
};

TEST_F(GuidanceCommand, TheRandomNumbersAreTheCpusUnlessAnotherProgramIsNamed) {
  const auto plain = drawn({});
  EXPECT_FALSE(recipe_of("x.png").contains("rng"));
  EXPECT_EQ(drawn({"--rng", "cpu", "--compat", "a1111"}), plain);
  const auto cuda = drawn({"--rng", "cuda"});
  EXPECT_NE(cuda, plain);
  EXPECT_EQ(recipe_of("x.png")["rng"], "cuda");
  EXPECT_NE(infotext_of("x.png").find("RNG: NV"), std::string::npos);
  EXPECT_EQ(drawn({"--rng", "philox"}), cuda);
  for (const char* compat : {"a1111", "sdcpp"}) EXPECT_EQ(drawn({"--compat", compat}), cuda) << compat;
  expect_error(generate({"--rng", "mps"}), 2, {"--rng", "mps", "cuda"});
}

TEST_F(GuidanceCommand, EachOptionChangesThePictureAndIsInItsRecipe) {
  const auto plain = drawn({});
  const nlohmann::json without = recipe_of("x.png");
  const auto expect_changed = [&](const Words& words, const nlohmann::json& recipe) {
    EXPECT_NE(drawn(words), plain) << words.front();
    nlohmann::json wanted = without;
    wanted.update(recipe);
    EXPECT_EQ(recipe_of("x.png"), wanted) << words.front();
  };
  expect_changed({"--guidance-start", "0.5"}, {{"guidance_start", 0.5}});
  expect_changed({"--guidance_stop=0.5"}, {{"guidance_end", 0.5}});
  expect_changed({"--mimic-scale", "2"}, {{"mimic_scale", 2.0}, {"threshold_percentile", 1.0}});
  expect_changed({"--pag-scale", "3"}, {{"pag_scale", 3.0}, {"pag_layers", "mid"}});
  expect_changed({"--pag-scale", "3", "--pag-layers", "up_blocks.1,mid", "--pag-adaptive-scale", "0.001"},
                 {{"pag_scale", 3.0}, {"pag_adaptive_scale", 0.001}, {"pag_layers", "up_blocks.1,mid"}});
  expect_changed({"--freeu", "1.3,1.40,0.9,0.2"}, {{"freeu", "1.3,1.4,0.9,0.2"}});
  EXPECT_NE(infotext_of("x.png").find("FreeU: \"1.3,1.4,0.9,0.2\""), std::string::npos);
  EXPECT_EQ(drawn({"--pag-scale", "0", "--guidance-start", "0", "--guidance-end", "1"}), plain);
  EXPECT_EQ(recipe_of("x.png"), without);
}

TEST_F(GuidanceCommand, WhatMakesNoSenseIsOneLine) {
  expect_error(generate({"--guidance-start", "1.5"}), 2, {"--guidance-start", "from 0 to 1"});
  expect_error(generate({"--guidance-start", "0.5", "--guidance-end", "0.5"}), 2,
               {"leaves no step to guide"});
  expect_error(generate({"--guidance-end", "0"}), 2, {"leaves no step to guide"});
  expect_error(generate({"--threshold-percentile", "0.9"}), 2, {"does nothing without --mimic-scale"});
  expect_error(generate({"--pag-layers", "mid"}), 2, {"does nothing without --pag-scale"});
  expect_error(generate({"--pag-adaptive-scale", "1"}), 2, {"does nothing without --pag-scale"});
  expect_error(generate({"--pag-scale", "-1"}), 2, {"--pag-scale", "from 0 to 1000"});
  for (const char* layers : {"middle", "mid,", "", "up_blocks.7"})
    expect_error(generate({"--pag-scale", "1", "--pag-layers", layers}), 2, {"--pag-layers"});
  for (const char* factors :
       {"1.3", "1,1,1", "1,1,1,1,1", "1,1,1,0", "1,1,1,nan", "1,1,1,-1", "1,1,1,11", "a", "1,1,1,1x", ",,,"})
    expect_error(generate({"--freeu", factors}), 2, {"--freeu", "four numbers"});
}

TEST_F(GuidanceCommand, JobsMixThem) {
  const std::string same = R"("prompt":"a fox","negative_prompt":"fog","cfg_scale":5,"steps":4,"seed":7)";
  const std::vector<std::pair<std::string, Words>> kinds{
      {"", {}},
      {R"(,"rng":"cuda")", {"--rng", "cuda"}},
      {R"(,"compat":"sdcpp")", {"--compat", "sdcpp"}},
      {R"(,"guidance_start":0.25,"guidance_end":0.75)",
       {"--guidance-start", "0.25", "--guidance-end", "0.75"}},
      {R"(,"mimic_scale":2,"threshold_percentile":0.9)",
       {"--mimic-scale", "2", "--threshold-percentile", "0.9"}},
      {R"(,"pag_scale":3,"pag_layers":"up_blocks.1")", {"--pag-scale", "3", "--pag-layers", "up_blocks.1"}},
      {R"(,"freeu":"1.3,1.4,0.9,0.2")", {"--freeu", "1.3,1.4,0.9,0.2"}}};
  std::string jobs;
  for (size_t i = 0; i < kinds.size(); ++i)
    jobs += "{\"id\":\"k" + std::to_string(i) + "\"," + same + kinds[i].first + "}\n";
  write_jobs(jobs + R"({"prompt":"x","pag_scale":1,"pag_layers":"none"})" + "\n" +
             R"({"prompt":"x","rng":"mps"})" + "\n" + R"({"prompt":"x","freeu":"1"})" + "\n");
  const auto drawn_by = [&](const Words& how) {
    Words words = how;
    words.insert(words.end(), {"--name", "{id}", "--deterministic"});
    const Outcome outcome = batch(words);
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    for (const char* part : {"--pag-layers none", "--rng mps", "--freeu 1"})
      EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
    std::vector<std::vector<uint8_t>> pictures;
    for (size_t i = 0; i < kinds.size(); ++i)
      pictures.push_back(pixels("out/k" + std::to_string(i) + ".png"));
    std::filesystem::remove_all(directory_ / "out");
    std::filesystem::create_directory(directory_ / "out");
    return pictures;
  };
  const auto here = drawn_by({"--batch-size", "8"});
  EXPECT_EQ(drawn_by({"--devices", "cpu:2"}), here);
  for (size_t i = 0; i < kinds.size(); ++i) {
    Words words = kinds[i].second;
    words.insert(words.end(), {"-s", "7"});
    EXPECT_EQ(drawn(words), here[i]) << kinds[i].first;
  }
}

}  // namespace
}  // namespace brume::testing
