#include <gtest/gtest.h>

#include "brume/base/error.h"
#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "reference_case.h"

// The prompt language through the whole pipeline, held against tools/reference/prompt_cases.py.
namespace brume::testing {
namespace {

class Prompts : public ::testing::TestWithParam<const char*> {
 protected:
  at::Tensor wanted(const std::string& name) const {
    return reference_.tensor(std::string(GetParam()) + "/" + name);
  }

  ReferenceCase reference_{"prompts"};
  Pipeline pipeline_{ModelConfig(reference_path(GetParam())), at::kFloat};
};

TEST_P(Prompts, WordsAreThoseOfTheReference) {
  Observer unseen;
  for (const auto& [name, run] : reference_.parameters()["encoded"].items()) {
    Request request;
    request.prompt = run["text"];
    request.reading.compat = compat_from_name(run["compat"].get<std::string>());
    request.guidance.scale = 1;
    const PictureWords words = pipeline_.words(request, unseen);
    ASSERT_EQ(words.texts.size(), 1U) << name;
    expect_close(words.texts[0].context, wanted(name + "/context"), name, 1e-5);
    if (words.texts[0].pooled.defined())
      expect_close(words.texts[0].pooled, wanted(name + "/pooled"), name + " pooled", 1e-5);
  }
}

Request walk_of(const nlohmann::json& walk) {
  Request request;
  request.prompt = walk["prompt"];
  request.negative_prompt = walk["negative_prompt"];
  request.width = walk["width"];
  request.height = walk["height"];
  request.seeds = {walk["seed"].get<uint64_t>()};
  request.sampling.steps = walk["steps"];
  request.guidance.scale = walk["guidance_scale"];
  return request;
}

class LatentsKeeper : public Observer {
 public:
  void on_stage(std::string_view name, const at::Tensor& tensor) override {
    if (name.starts_with("latents_step")) latents.push_back(tensor);
  }
  std::vector<at::Tensor> latents;
};

TEST_P(Prompts, ThatChangeAndAreSeveralWalkAsTheReference) {
  const Request request = walk_of(reference_.parameters()["walk"]);
  LatentsKeeper kept;
  const Generation made = pipeline_.generate(request, kept);
  ASSERT_EQ(kept.latents.size(), 4U);
  for (size_t k = 0; k < kept.latents.size(); ++k) {
    const std::string name = "latents_step" + std::to_string(k);
    expect_close(kept.latents[k], wanted("walk/" + name), name);
  }
  DenoisingRows rows(pipeline_, RowCalls::kApart);
  RecentPrompts recent;
  rows.join(1, request, pipeline_.material(request, recent));
  at::Tensor by_rows;
  while (rows.size() > 0) {
    for (const DenoisedRow& row : rows.advance()) by_rows = row.latents;
  }
  EXPECT_TRUE(by_rows.equal(made.latents));
}

TEST_P(Prompts, ThatWereReadBeforeSayTheSame) {
  std::vector<Request> requests;
  for (const std::string prompt : {"a red fox", "snow", "a red fox"}) {
    for (const std::optional<std::string>& negative :
         {std::optional<std::string>(), std::optional<std::string>(""), std::optional<std::string>(prompt)}) {
      for (const Compat compat : {Compat::kA1111, Compat::kSdCpp}) {
        for (const int64_t clip_skip : {1, 2}) {
          Request request = walk_of(reference_.parameters()["walk"]);
          request.prompt = prompt + " (seen:1.3)";
          request.negative_prompt = negative;
          request.reading.compat = compat;
          request.clip_skip = clip_skip;
          requests.push_back(std::move(request));
        }
      }
    }
  }
  RecentPrompts recent;
  Observer unseen;
  for (const Request& request : requests) {
    const PictureWords known = pipeline_.material(request, recent).words;
    const PictureWords anew = pipeline_.words(request, unseen);
    ASSERT_EQ(known.texts.size(), anew.texts.size());
    for (size_t i = 0; i < anew.texts.size(); ++i) {
      EXPECT_TRUE(known.texts[i].context.equal(anew.texts[i].context)) << request.prompt;
      if (!anew.texts[i].pooled.defined()) continue;
      EXPECT_TRUE(known.texts[i].pooled.equal(anew.texts[i].pooled)) << request.prompt;
    }
  }
}

TEST(RecentPromptsOf, OneBatchAreEncodedOnce) {
  RecentPrompts recent(2);
  int encodings = 0;
  const auto ask = [&](const RecentPrompts::Key& key) {
    recent.encoded(key, [&] {
      ++encodings;
      return EncodedPrompt{};
    });
    return encodings;
  };
  const RecentPrompts::Key fox{"a fox", false, Compat::kA1111, 1};
  const RecentPrompts::Key nothing{"", true, Compat::kA1111, 1};
  EXPECT_EQ(ask(nothing), 1);
  EXPECT_EQ(ask(fox), 2);
  EXPECT_EQ(ask(nothing), 2);
  EXPECT_EQ(ask({"snow", false, Compat::kA1111, 1}), 3);  // the fox was not asked for last
  EXPECT_EQ(ask(nothing), 3);
  EXPECT_EQ(ask(fox), 4);
  EXPECT_EQ(ask({"a fox", true, Compat::kA1111, 1}), 5);
  EXPECT_EQ(ask({"a fox", false, Compat::kSdCpp, 1}), 6);
  EXPECT_EQ(ask({"a fox", false, Compat::kA1111, 2}), 7);
}

TEST_P(Prompts, OfOnePartAndOneTextDrawTheSameInAnyWriting) {
  Request request = walk_of(reference_.parameters()["walk"]);
  request.prompt = "a red fox";
  Observer unseen;
  const at::Tensor plain = pipeline_.generate(request, unseen).latents;
  for (const std::string same : {"a (red:1.0) fox", "a [red:blue:99] fox", "a [red|red] fox"}) {
    request.prompt = same;
    EXPECT_TRUE(pipeline_.generate(request, unseen).latents.equal(plain)) << same;
  }
  // Half and half of the same is the same, to rounding.
  request.prompt = "a red fox :0.5 AND a red fox :0.5";
  expect_close(pipeline_.generate(request, unseen).latents, plain, "halves", 1e-4);
  for (const std::string other :
       {"a (red:1.2) fox", "a [red:blue:1] fox", "a red fox AND snow", "a red BREAK fox"}) {
    request.prompt = other;
    EXPECT_FALSE(at::allclose(pipeline_.generate(request, unseen).latents, plain, 0, 1e-4)) << other;
  }
}

TEST_P(Prompts, WithoutGuidanceAreComposedTooAndReadNoNegative) {
  Request request = walk_of(reference_.parameters()["walk"]);
  request.guidance.scale = 1;
  Observer unseen;
  const at::Tensor first = pipeline_.generate(request, unseen).latents;
  request.negative_prompt = "something else";
  EXPECT_TRUE(pipeline_.generate(request, unseen).latents.equal(first));
  request.prompt = "a red fox :3 AND a red fox :0";
  const at::Tensor composed = pipeline_.generate(request, unseen).latents;
  request.prompt = "a red fox";
  expect_close(composed, pipeline_.generate(request, unseen).latents, "of one text", 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Families, Prompts, ::testing::Values("sd1", "sd2", "sdxl"),
                         [](const auto& name) { return std::string(name.param); });

TEST(PromptReading, RefusesWhatIsNotReadWhereAsked) {
  const Pipeline pipeline(ModelConfig(reference_path("sd1")), at::kFloat);
  Observer unseen;
  Request request;
  request.guidance.scale = 5;
  request.prompt = "a (fox";
  EXPECT_EQ(pipeline.unread(request, PromptRole::kPrompt).ignored.size(), 1U);
  request.reading.unread = Unread::kRefuse;
  EXPECT_THROW(pipeline.words(request, unseen), Error);
  request.prompt = "a fox";
  request.negative_prompt = "b]";
  EXPECT_THROW(pipeline.words(request, unseen), Error);
  request.guidance.scale = 1;
  EXPECT_NO_THROW(pipeline.words(request, unseen));
  request.prompt = "the castle on the hill with light and water and a cat in it";
  EXPECT_NO_THROW(pipeline.words(request, unseen));
  request.reading.compat = Compat::kDiffusers;
  EXPECT_THROW(pipeline.words(request, unseen), Error);
  request.prompt = "a (fox";  // letters, to diffusers
  EXPECT_NO_THROW(pipeline.words(request, unseen));
}

}  // namespace
}  // namespace brume::testing
