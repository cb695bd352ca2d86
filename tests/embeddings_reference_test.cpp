#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "brume/pipeline/embeddings.h"
#include "brume/pipeline/pipeline.h"
#include "message_of.h"
#include "reference_case.h"
#include "temporary_directory.h"

namespace brume::testing {
namespace {

class EmbeddingCase : public ::testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<const Embeddings> opened(const ModelSource& model, const std::string& ending) const {
    std::vector<EmbeddingChoice> choices;
    for (const std::string name : {"ink", "snow"})
      choices.push_back({reference_.path() / (name + ending), "<" + name + ">"});
    return std::make_shared<const Embeddings>(model, choices, std::vector<EmbeddingChoice>());
  }

  void expect_conditioning(const std::string& ending, Compat compat) const {
    SCOPED_TRACE(ending);
    ModelConfig model(reference_path(GetParam()));
    model.embed(opened(model.source(), ending));
    const Pipeline pipeline(model, at::kFloat);
    Observer unseen;
    for (const auto& [name, prompt] : reference_.parameters()["prompts"].items()) {
      Request request;
      request.prompt = prompt;
      request.reading.compat = compat;
      const PictureWords words = pipeline.words(request, unseen);
      expect_close(words.texts.front().context, reference_.tensor(name + "/context"), name, 1e-5);
      if (reference_.has(name + "/pooled"))
        expect_close(words.texts.front().pooled, reference_.tensor(name + "/pooled"), name + " pooled", 1e-5);
    }
  }

  ReferenceCase reference_{"embeddings/" + GetParam()};
};

TEST_P(EmbeddingCase, ConditioningIsThatOfDiffusers) {
  if (GetParam() == "sdxl") {
    expect_conditioning(".safetensors", Compat::kDiffusers);
    expect_conditioning(".safetensors", Compat::kA1111);
    return;
  }
  for (const char* ending : {".pt", "_params.safetensors", "_diffusers.safetensors", "_diffusers.bin"})
    expect_conditioning(ending, Compat::kDiffusers);
  expect_conditioning(".pt", Compat::kA1111);
}

INSTANTIATE_TEST_SUITE_P(All, EmbeddingCase, ::testing::Values("sd1", "sd2", "sdxl"),
                         [](const auto& name) { return name.param; });

/// SDXL's refiner around the second text encoder of SDXL, which it has in truth too.
class RefinerEmbedding : public TemporaryDirectory {
 protected:
  void SetUp() override {
    TemporaryDirectory::SetUp();
    for (const char* part : {"model_index.json", "scheduler", "unet", "vae"})
      std::filesystem::create_symlink(reference_path("refiner") / part, directory_ / part);
    for (const char* part : {"text_encoder_2", "tokenizer_2"})
      std::filesystem::create_symlink(reference_path("sdxl") / part, directory_ / part);
  }
};

TEST_F(RefinerEmbedding, OfSdxlIsThatOfItsSecondEncoder) {
  const ReferenceCase reference("embeddings/sdxl");
  ModelConfig model(directory_);
  std::vector<EmbeddingChoice> choices;
  for (const std::string name : {"ink", "snow"})
    choices.push_back({reference.path() / (name + ".safetensors"), "<" + name + ">"});
  model.embed(std::make_shared<const Embeddings>(model.source(), choices, std::vector<EmbeddingChoice>()));
  const Pipeline pipeline(model, at::kFloat);
  const int64_t width = pipeline.model().unet().levels[1].context_width;
  Observer unseen;
  for (const auto& [name, prompt] : reference.parameters()["prompts"].items()) {
    Request request;
    request.prompt = prompt;
    request.reading.compat = Compat::kDiffusers;
    const PictureWords words = pipeline.words(request, unseen);
    const at::Tensor both = reference.tensor(name + "/context");
    expect_close(words.texts.front().context, both.narrow(2, both.size(2) - width, width), name, 1e-5);
    expect_close(words.texts.front().pooled, reference.tensor(name + "/pooled"), name + " pooled", 1e-5);
  }
}

std::string refusal(const std::string& model, const EmbeddingChoice& choice) {
  const ModelConfig config(reference_path(model));
  return message_of([&] { const Embeddings read(config.source(), {choice}, {}); }, ExitCode::kModelInvalid);
}

TEST(Embeddings, OfAnotherModelNameFileKeyAndWidths) {
  const auto file = [](const std::string& name) { return reference_path("embeddings/" + name); };
  const auto expect_parts = [](const std::string& message, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect_parts(refusal("sd1", {file("sd2/ink.pt"), "ink"}), {"sd2/ink.pt", "string_to_param.*", "36", "30"});
  expect_parts(refusal("sdxl", {file("sd1/ink.pt"), "ink"}), {"sd1/ink.pt", "one text encoder", "30", "20"});
  expect_parts(refusal("sd1", {file("sdxl/ink.safetensors"), "ink"}), {"clip_l", "two", "20", "30"});
  expect_parts(refusal("sd1", {file("sd1/reference.safetensors"), "ink"}), {"is no embedding", "4 tensors"});
}

TEST(Embeddings, OfADirectoryAreLeftOutWhereTheyDoNotFit) {
  const ModelConfig config(reference_path("sd1"));
  std::vector<EmbeddingChoice> found = embeddings_in(reference_path("embeddings/sd1"));
  EXPECT_EQ(found.size(), 9U);
  found.push_back({reference_path("embeddings/sd2/ink.pt"), "wide"});
  const Embeddings read(config.source(), {}, found);
  EXPECT_EQ(read.words(0).names().size(), 6U);
  ASSERT_EQ(read.remarks().size(), 2U);
  Request request;
  request.prompt = "a fox, embedding:SNOW";
  EXPECT_EQ(read.used_by(request).at(0).name, "snow");
  request.prompt = "a fox";
  EXPECT_TRUE(read.used_by(request).empty());
  request.negative_prompt = "ink";
  EXPECT_TRUE(read.used_by(request).empty());
  request.guidance.scale = 5;
  EXPECT_EQ(read.used_by(request).at(0).name, "ink");
}

TEST(Embeddings, AreNotSplitBetweenWindows) {
  const Tokenizer tokenizer = Tokenizer::open(reference_path("sd1/tokenizer"));
  const EmbeddingWords words(tokenizer, {{"ink", 4}, {"inkwell", 2}});
  const auto windows = [&](const std::string& text) {
    std::vector<std::vector<int64_t>> ids;
    for (const TokenChunk& chunk : chunk_text(tokenizer, text, Compat::kA1111, &words).chunks) {
      ids.push_back(chunk.ids);
      EXPECT_EQ(chunk.weights.size(), chunk.ids.size());
    }
    return ids;
  };
  const std::vector<int64_t> ink = words.ids_of(0);
  EXPECT_EQ(ink, (std::vector<int64_t>{610, 611, 612, 613}));
  EXPECT_EQ(windows("(ink:1.2)"), (std::vector<std::vector<int64_t>>{ink}));
  EXPECT_EQ(windows("inkwell"), (std::vector<std::vector<int64_t>>{{614, 615}}));
  EXPECT_EQ(windows("embedding:inkwell"), (std::vector<std::vector<int64_t>>{{614, 615}}));
  const auto fillers = [](size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += "! ";
    return text;
  };
  EXPECT_EQ(windows(fillers(7) + "ink").size(), 1U);  // eleven in a window
  const auto split = windows(fillers(8) + "ink !");
  ASSERT_EQ(split.size(), 2U);
  EXPECT_EQ(split[0].size(), 8U);
  EXPECT_EQ(std::vector<int64_t>(split[1].begin(), split[1].begin() + 4), ink);
  // diffusers has one window: what does not fit is cut whole.
  const TokenChunks cut = chunk_text(tokenizer, fillers(8) + "ink", Compat::kDiffusers, &words);
  EXPECT_EQ(cut.cut, ink);
  EXPECT_EQ(chunk_text(tokenizer, "embedding:none, x", Compat::kA1111, &words).ignored,
            (std::vector<std::string>{"embedding:none is no embedding that is there, and stays words"}));
}

}  // namespace
}  // namespace brume::testing
