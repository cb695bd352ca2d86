#include <gtest/gtest.h>

#include <map>

#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "reference_case.h"

namespace brume::testing {
namespace {

/// The settings of a run, as somebody would type them.
PictureSettings settings_of(const nlohmann::json& run) {
  PictureSettings settings;
  settings.prompt = run["prompt"];
  settings.negative_prompt = run["negative_prompt"];
  settings.compat = "diffusers";
  settings.width = run["width"];
  settings.height = run["height"];
  settings.steps = run["steps"];
  settings.sampler = run["sampler"];
  settings.cfg_scale = run["guidance_scale"];
  settings.cfg_rescale = run["guidance_rescale"];
  const auto set = [&](std::optional<double>& setting, const char* name) {
    if (run.contains(name)) setting = run[name].get<double>();
  };
  set(settings.pag_scale, "pag_scale");
  set(settings.pag_adaptive_scale, "pag_adaptive_scale");
  set(settings.mimic_scale, "mimic_scale");
  set(settings.threshold_percentile, "threshold_percentile");
  if (run.contains("interval")) {
    settings.guidance_start = run["interval"][0];
    settings.guidance_end = run["interval"][1];
  }
  const auto joined = [](const nlohmann::json& list) {
    std::string text;
    for (const auto& item : list)
      text += (text.empty() ? "" : ",") + (item.is_string() ? item.get<std::string>() : item.dump());
    return text;
  };
  if (run.contains("pag_layers")) settings.pag_layers = joined(run["pag_layers"]);
  if (run.contains("freeu")) settings.freeu = joined(run["freeu"]);
  return settings;
}

std::vector<uint64_t> seeds_of(const nlohmann::json& run) {
  std::vector<uint64_t> seeds;
  for (uint64_t k = 0; k < run["batch"].get<uint64_t>(); ++k)
    seeds.push_back(run["seed"].get<uint64_t>() + k);
  return seeds;
}

class StepKeeper : public Observer {
 public:
  void on_stage(std::string_view name, const at::Tensor& tensor) override {
    stages.insert_or_assign(std::string(name), tensor);
  }

  std::map<std::string, at::Tensor> stages;
};

class GuidanceCase : public ::testing::TestWithParam<std::string> {};

TEST_P(GuidanceCase, AgreesWithDiffusersAtEveryStep) {
  const ReferenceCase reference("guidance/" + GetParam());
  const nlohmann::json& run = reference.parameters();
  const Pipeline pipeline(ModelConfig(reference_path(run["model"])), at::kFloat);
  StepKeeper keeper;
  pipeline.generate(pipeline.model().resolve(settings_of(run), seeds_of(run)), keeper);
  const at::Tensor latents = reference.tensor("latents");
  for (int64_t step = 0; step < latents.size(0); ++step) {
    const std::string name = "latents_step" + std::to_string(step);
    expect_close(keeper.stages.at(name), latents[step], name);
  }
}

const std::vector<std::string>& kinds() {
  static const std::vector<std::string> all{"freeu",        "freeu_alone",     "pag",      "pag_alone",
                                            "pag_adaptive", "pag_layers",      "interval", "interval_end",
                                            "mimic",        "mimic_percentile"};
  return all;
}

std::vector<std::string> all_cases() {
  std::vector<std::string> names;
  for (const std::string family : {"sd1", "sd2", "sdxl"}) {
    for (const std::string& kind : kinds()) names.push_back(family + "_" + kind);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, GuidanceCase, ::testing::ValuesIn(all_cases()),
                         [](const auto& name) { return name.param; });

class GuidanceRows : public ::testing::TestWithParam<const char*> {};

/// Pictures that are guided each in its own way, and one that is plain, beside each other.
TEST_P(GuidanceRows, AreThePicturesMadeAlone) {
  const Pipeline pipeline(ModelConfig(reference_path(GetParam())), at::kFloat);
  std::vector<Request> requests;
  for (const std::string& kind : kinds()) {
    const ReferenceCase reference("guidance/" + std::string(GetParam()) + "_" + kind);
    PictureSettings settings = settings_of(reference.parameters());
    settings.width = settings.height = 56;
    if (kind == "interval") settings.sampler = "heun";
    if (kind == "pag_layers") {
      settings.compat = "a1111";
      settings.prompt = "a fox AND snow :0.5";
    }
    requests.push_back(pipeline.model().resolve(settings, {requests.size()}));
  }
  PictureSettings plain;
  plain.width = plain.height = 56;
  plain.steps = 4;
  requests.push_back(pipeline.model().resolve(plain, {99}));
  Observer unseen;
  RecentPrompts recent;
  for (const RowCalls calls : {RowCalls::kTogether, RowCalls::kApart}) {
    DenoisingRows rows(pipeline, calls);
    for (size_t i = 0; i < requests.size(); ++i)
      rows.join(i, requests[i], pipeline.material(requests[i], recent));
    size_t ended = 0;
    while (rows.size() > 0) {
      for (const DenoisedRow& row : rows.advance()) {
        const Generation alone = pipeline.generate(requests[row.ticket], unseen);
        if (calls == RowCalls::kApart) {
          EXPECT_TRUE(row.latents.equal(alone.latents)) << row.ticket;
        }
        expect_close(row.latents, alone.latents, "latents of picture " + std::to_string(row.ticket), 1e-5);
        ++ended;
      }
    }
    EXPECT_EQ(ended, requests.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GuidanceRows, ::testing::Values("sd1", "sdxl"),
                         [](const auto& name) { return std::string(name.param); });

/// Rows that the UNet computes in all steps, by the sizes of the predictions.
int64_t rows_computed(const Pipeline& pipeline, const PictureSettings& settings) {
  const Request request = pipeline.model().resolve(settings, {1});
  Observer unseen;
  WordsInTime words(pipeline, request, pipeline.words(request, unseen));
  int64_t rows = 0;
  for (int64_t step = 0; step < request.sampling.steps; ++step) {
    words.move_to(step);
    for (const WordGroup& group : words.groups()) rows += group.conditioning.context.size(0);
  }
  return rows;
}

TEST(GuidanceInterval, HasNoNegativeRowsOutsideOfIt) {
  const Pipeline pipeline(ModelConfig(reference_path("sd1")), at::kFloat);
  PictureSettings settings;
  settings.prompt = "a fox";
  settings.cfg_scale = 5;
  settings.steps = 10;
  EXPECT_EQ(rows_computed(pipeline, settings), 20);
  settings.guidance_start = 0.25;  // from step 2 on, as diffusers cuts off
  EXPECT_EQ(rows_computed(pipeline, settings), 18);
  settings.guidance_end = 0.5;
  EXPECT_EQ(rows_computed(pipeline, settings), 13);
  settings.pag_scale = 3;
  EXPECT_EQ(rows_computed(pipeline, settings), 23);
  settings.cfg_scale = 1;
  EXPECT_EQ(rows_computed(pipeline, settings), 20);
}

TEST(GuidanceSettings, CountTheirRows) {
  GuidanceSettings guidance;
  EXPECT_EQ(guidance.rows(10), 1);
  guidance.scale = 5;
  EXPECT_EQ(guidance.rows(10), 2);
  guidance.interval = {0.25, 0.5};
  EXPECT_EQ(guidance.rows(10), 1.3);
  guidance.perturbed.scale = 3;
  EXPECT_EQ(guidance.rows(10), 2.3);
  GuidanceSettings by_image;
  by_image.image_scale = 1.5;
  EXPECT_EQ(by_image.rows(10), 1);  // as diffusers has it: without the words' guidance there is none
  by_image.scale = 5;
  EXPECT_EQ(by_image.rows(10), 3);
  by_image.image_scale = 1;
  EXPECT_EQ(by_image.rows(10), 2);
}

}  // namespace
}  // namespace brume::testing
