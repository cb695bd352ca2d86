#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <tuple>

#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "reference_case.h"

namespace brume::testing {
namespace {

class StageKeeper : public Observer {
 public:
  void on_stage(std::string_view name, const at::Tensor& tensor) override {
    stages_.insert_or_assign(std::string(name), tensor);
  }
  const at::Tensor& at(const std::string& name) const { return stages_.at(name); }

 private:
  std::map<std::string, at::Tensor> stages_;
};

Request request_of(const nlohmann::json& parameters) {
  Request request;
  request.prompt = parameters["prompt"];
  if (!parameters["negative_prompt"].is_null()) request.negative_prompt = parameters["negative_prompt"];
  request.width = parameters["width"];
  request.height = parameters["height"];
  for (int64_t k = 0; k < parameters["batch"].get<int64_t>(); ++k) {
    request.seeds.push_back(parameters["seed"].get<uint64_t>() + static_cast<uint64_t>(k));
  }
  request.sampling = {sampler_from_name(parameters["sampler"].get<std::string>()), parameters["steps"],
                      parameters["eta"]};
  request.guidance = {parameters["guidance_scale"], parameters["guidance_rescale"]};
  request.reading.compat = Compat::kDiffusers;
  // The reference counts layers skipped, we count the layer from the end.
  if (!parameters["clip_skip"].is_null()) request.clip_skip = parameters["clip_skip"].get<int64_t>() + 1;
  return request;
}

class WholePicture : public ::testing::TestWithParam<std::string> {};

TEST_P(WholePicture, AgreesWithDiffusersAtEveryStage) {
  const ReferenceCase reference("cases/" + GetParam());
  const nlohmann::json& parameters = reference.parameters();
  const Pipeline pipeline(ModelConfig(reference_path(parameters["model"])), at::kFloat);
  const Request request = request_of(parameters);
  StageKeeper stages;
  const Generation made = pipeline.generate(request, stages);

  EXPECT_TRUE(stages.at("ids").equal(reference.integers("ids")));
  expect_close(stages.at("context"), reference.tensor("context"), "context");
  if (reference.has("pooled")) expect_close(stages.at("pooled"), reference.tensor("pooled"), "pooled");
  expect_close(stages.at("unet_out_step0"), reference.tensor("unet_out_step0"), "unet_out_step0");
  for (int64_t k = 0; k < request.sampling.steps; ++k) {
    const std::string name = "latents_step" + std::to_string(k);
    expect_close(stages.at(name), reference.tensor(name), name);
  }
  expect_close(stages.at("decoded"), reference.tensor("decoded"), "decoded");

  const at::Tensor pictures = reference.integers("picture");
  ASSERT_EQ(made.pictures.size(), request.seeds.size());
  for (size_t i = 0; i < made.pictures.size(); ++i) {
    ASSERT_TRUE(made.pictures[i].picture);
    const Picture& picture = *made.pictures[i].picture;
    const at::Tensor ours = at::tensor(at::ArrayRef<uint8_t>(picture.pixels)).to(at::kLong);
    const at::Tensor wanted = pictures[static_cast<int64_t>(i)].flatten();
    // A value within 1e-4 of a half may round either way.
    EXPECT_LE((ours - wanted).abs().max().item<int64_t>(), 1);
    EXPECT_LE((ours != wanted).sum().item<int64_t>(), wanted.numel() / 1000);
  }
}

std::vector<std::string> all_cases() {
  std::vector<std::string> names;
  for (const std::string family : {"sd1", "sd2", "sdxl"}) {
    for (const std::string kind : {"ddim", "ddim_rescale", "ddim_no_guidance", "ddim_clip_skip",
                                   "ddim_no_negative", "ddim_eta", "ddpm"}) {
      names.push_back(family + "_" + kind);
    }
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Pipelines, WholePicture, ::testing::ValuesIn(all_cases()),
                         [](const auto& name) { return name.param; });

TEST(Batches, APictureIsTheSameAloneAndWithOthersToRounding) {
  const Pipeline pipeline(ModelConfig(reference_path("sd1")), at::kFloat);
  Request request;
  request.prompt = "a red fox";
  request.width = request.height = 56;
  request.sampling.steps = 3;
  request.seeds = {7, 8, 9};
  Observer unseen;
  const Generation together = pipeline.generate(request, unseen);
  request.seeds = {9};
  const Generation alone = pipeline.generate(request, unseen);
  expect_close(alone.latents[0], together.latents[2], "latents", 1e-5);
}

/// Pictures of different words, steps, samplers, guidance and seeds, of one size.
std::vector<Request> mixed_requests() {
  std::vector<Request> requests;
  for (const auto& [prompt, steps, sampler, scale, seed] :
       {std::tuple{"a red fox", 3, Sampler::kDdim, 5.0, 7}, std::tuple{"a house", 5, Sampler::kDdpm, 1.0, 8},
        std::tuple{"", 2, Sampler::kDdim, 2.5, 9}, std::tuple{"two owls", 4, Sampler::kDdpm, 7.0, 10},
        std::tuple{"a red fox", 1, Sampler::kDdim, 1.0, 11}, std::tuple{"a hen", 4, Sampler::kHeun, 6.0, 12},
        std::tuple{"a mole", 3, Sampler::kEulerCfgPp, 1.5, 13},
        std::tuple{"an owl", 4, Sampler::kDpmppSde, 4.0, 14},
        std::tuple{"a cat", 3, Sampler::kUniPc, 3.0, 15}}) {
    Request request;
    request.prompt = prompt;
    request.width = request.height = 72;
    request.seeds = {static_cast<uint64_t>(seed)};
    request.sampling = {sampler, steps, seed == 9 ? 0.5 : seed == 14 ? 1.0 : 0.0};
    if (seed == 15) request.sampling.spacing = SigmaSpacing::kKarras;
    request.guidance = {scale, seed == 10 ? 0.7 : 0.0};
    if (seed == 7) request.negative_prompt = "a dog";
    // Of several windows, several parts, and changing words: rows of other lengths beside each other.
    if (seed == 8)
      request.prompt = "a house on the hill, with light and water and a (cat:1.4) in it [:snow:2]";
    if (seed == 10)
      request.prompt = "two owls AND the castle on the hill with light and water and a cat :0.5";
    if (seed == 12) request.prompt = "a [hen|cat|castle on the hill with light and water and detail]";
    requests.push_back(request);
  }
  return requests;
}

/// The latents of each request, two on their way at first and one more joining after every call.
std::map<uint64_t, at::Tensor> by_rows(const Pipeline& pipeline, const std::vector<Request>& requests,
                                       RowCalls calls) {
  DenoisingRows rows(pipeline, calls);
  RecentPrompts recent;
  std::map<uint64_t, at::Tensor> latents;
  int64_t steps = 0;
  for (size_t next = 0; next < requests.size() || rows.size() > 0;) {
    for (size_t begun = 0; next < requests.size() && begun < (next == 0 ? 2 : 1); ++begun, ++next)
      rows.join(next, requests[next], pipeline.material(requests[next], recent));
    for (const DenoisedRow& row : rows.advance()) {
      EXPECT_EQ(row.failed_stage, "");
      latents[row.ticket] = row.latents;
    }
  }
  for (const Request& request : requests) steps += request.sampling.steps;
  EXPECT_EQ(rows.steps_done(), steps);
  return latents;
}

class Rows : public ::testing::TestWithParam<const char*> {};

TEST_P(Rows, ThatJoinAndLeaveAreThePicturesMadeAlone) {
  const Pipeline pipeline(ModelConfig(reference_path(GetParam())), at::kFloat);
  const std::vector<Request> requests = mixed_requests();
  const auto together = by_rows(pipeline, requests, RowCalls::kTogether);
  const auto apart = by_rows(pipeline, requests, RowCalls::kApart);
  ASSERT_EQ(together.size(), requests.size());
  ASSERT_EQ(apart.size(), requests.size());
  Observer unseen;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Generation alone = pipeline.generate(requests[i], unseen);
    EXPECT_TRUE(apart.at(i).equal(alone.latents)) << "picture " << i;
    expect_close(together.at(i), alone.latents, "latents of picture " + std::to_string(i), 1e-5);
    EXPECT_EQ(pipeline.decode(requests[i], apart.at(i)).picture->pixels, alone.pictures[0].picture->pixels);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Rows, ::testing::Values("sd1", "sd2", "sdxl"),
                         [](const auto& name) { return std::string(name.param); });

TEST(Rows, SayWhereTheirNumbersOverflowed) {
  const Pipeline pipeline(ModelConfig(reference_path("sd1")), at::kFloat);
  std::vector<Request> requests = mixed_requests();
  RecentPrompts recent;
  DenoisingRows rows(pipeline, RowCalls::kTogether);
  PictureMaterial broken = pipeline.material(requests[0], recent);
  broken.words.texts[0].context = broken.words.texts[0].context * std::numeric_limits<float>::infinity();
  rows.join(0, requests[0], broken);
  rows.join(1, requests[1], pipeline.material(requests[1], recent));
  std::map<uint64_t, std::string> stages;
  while (rows.size() > 0) {
    for (const DenoisedRow& row : rows.advance()) stages[row.ticket] = row.failed_stage;
  }
  EXPECT_EQ(stages.at(0), "text embedding");
  EXPECT_EQ(stages.at(1), "");
}

TEST(Repeats, GiveTheSameBytes) {
  const Pipeline pipeline(ModelConfig(reference_path("sdxl")), at::kFloat);
  Request request;
  request.prompt = "a red fox";
  request.width = request.height = 72;
  request.sampling.steps = 3;
  request.guidance.scale = 5;
  request.seeds = {7};
  Observer unseen;
  const Generation first = pipeline.generate(request, unseen);
  const Generation second = pipeline.generate(request, unseen);
  EXPECT_EQ(first.pictures[0].picture->pixels, second.pictures[0].picture->pixels);
}

}  // namespace
}  // namespace brume::testing
