#include <algorithm>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "brume/weights/safetensors.h"
#include "cli_fixture.h"
#include "single_file_case.h"
#include "weights/pickle_assembler.h"
#include "weights/zip_assembler.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

/// Checkpoints of one file, read with CLIP's own vocabulary (tools/setup puts it into .deps/clip).
class OneFileModel : public CommandLine {
 protected:
  fs::path file_of(const std::string& family, const std::map<std::string, std::string>& metadata = {},
                   const std::vector<std::string>& markers = {}) const {
    fs::path file = directory_ / (family + ".safetensors");
    SingleFileCase(family).write(file, as_fp32(), metadata, markers);
    return file;
  }
  Outcome draw(const fs::path& file, const Words& more = {}) const {
    Words words{"-o", "x.png"};
    words.insert(words.end(), more.begin(), more.end());
    return brume(generate_words(words, file));
  }
};

TEST_F(OneFileModel, IsDrawnWithByItsName) {
  const fs::path file = file_of("sd1");
  const Outcome outcome = draw(file);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("note: " + file.string() + ": not used: "), std::string::npos) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  const nlohmann::json recipe = recipe_of("x.png");
  EXPECT_EQ(recipe["model"], "sd1");
  EXPECT_FALSE(recipe.contains("prediction"));
  EXPECT_FALSE(recipe.contains("vae"));
}

/// The same tensors as torch.save writes them: {"global_step": STEPS, "state_dict": {...}}.
fs::path pickled(const fs::path& file, int64_t steps) {
  using testing_corpus::Pickle;
  const SafetensorsFile source(file);
  Pickle pickle;
  pickle.raw("}").text("global_step").integer(steps).raw("s").text("state_dict").raw("}(");
  std::vector<std::string> storages;
  for (const StoredTensor& tensor : source.header().tensors) {
    std::string data(tensor.end - tensor.begin, '\0');
    source.read(tensor, std::as_writable_bytes(std::span(data)));
    const std::vector<int64_t> shape(tensor.shape.begin(), tensor.shape.end());
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
    const int64_t bytes = stored_type_bits(tensor.dtype) / 8;
    pickle.text(tensor.name)
        .tensor({.type = tensor.dtype == StoredType::kI64 ? "LongStorage" : "FloatStorage",
                 .key = std::to_string(storages.size()),
                 .elements = static_cast<int64_t>(data.size()) / bytes,
                 .shape = shape,
                 .strides = strides});
    storages.push_back(std::move(data));
  }
  pickle.raw("us");
  fs::path made = file;
  made.replace_extension(".ckpt");
  std::ofstream(made, std::ios::binary) << testing_corpus::checkpoint_bytes(pickle.stopped(), storages);
  return made;
}

TEST_F(OneFileModel, IsTheSameInAPickle) {
  for (const char* family : {"sd1", "sd2", "sdxl"}) {
    const fs::path file = file_of(family);
    ASSERT_EQ(draw(file, {"--save-latents", "a.safetensors"}).code, 0);
    const Outcome outcome = draw(pickled(file, 1000), {"--save-latents", "b.safetensors"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(bytes_of("a.safetensors"), bytes_of("b.safetensors")) << family;
  }
  // The steps that the base model of 512 pixels was trained for say that it predicts noise.
  ASSERT_EQ(draw(file_of("sd2"), {"--prediction", "epsilon", "--save-latents", "a.safetensors"}).code, 0);
  ASSERT_EQ(draw(pickled(file_of("sd2"), 875000), {"--save-latents", "b.safetensors"}).code, 0);
  EXPECT_EQ(bytes_of("a.safetensors"), bytes_of("b.safetensors"));
}

TEST_F(OneFileModel, WhatItPredictsCanBeSaid) {
  const fs::path file = file_of("sd1");
  ASSERT_EQ(draw(file).code, 0);
  const std::string noise = bytes_of("x.png");
  ASSERT_EQ(draw(file, {"--prediction", "v"}).code, 0);
  EXPECT_EQ(recipe_of("x.png")["prediction"], "v_prediction");
  const std::string velocity = bytes_of("x.png");
  EXPECT_NE(velocity, noise);
  // The same of a directory; the file's own word counts where nobody says otherwise.
  ASSERT_EQ(draw(model("sd1"), {"--prediction", "v"}).code, 0);
  EXPECT_EQ(recipe_of("x.png")["prediction"], "v_prediction");
  EXPECT_EQ(draw(file_of("sd1", {}, {"v_pred"})).code, 0);
  EXPECT_FALSE(recipe_of("x.png").contains("prediction"));
  expect_error(draw(file_of("sd1", {{"modelspec.prediction_type", "flow"}})), 3,
               {"sd1.safetensors", "modelspec.prediction_type", "--prediction"});
  expect_error(draw(file, {"--prediction", "noise"}), 2, {"--prediction", "epsilon"});
}

TEST_F(OneFileModel, IsDrawnInBatchesUnderAKeyOfItsContents) {
  const fs::path file = file_of("sdxl");
  std::ofstream(directory_ / "jobs.txt") << "a fox\nan owl\n";
  fs::create_directory(directory_ / "out");
  const auto batch = [&](const fs::path& from, const Words& more) {
    Words words{"batch", "jobs.txt", "-o", "out",     "-m", from.string(), "-W",
                "64",    "-H",       "64", "--steps", "2",  "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = brume(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out);
  };
  EXPECT_EQ(batch(file, {"--deterministic"})["drawn"], 2);
  // Neither its place nor its name matters, its contents and what is said of it do.
  fs::create_directory(directory_ / "elsewhere");
  const fs::path moved = directory_ / "elsewhere/renamed.safetensors";
  fs::rename(file, moved);
  EXPECT_EQ(batch(moved, {"--deterministic"})["drawn"], 0);
  EXPECT_EQ(batch(moved, {"--devices", "cpu:2", "--prediction", "v"})["drawn"], 2);
  EXPECT_EQ(batch(moved, {"--devices", "cpu:2", "--prediction", "v"})["drawn"], 0);
  EXPECT_EQ(batch(moved, {"--vae", moved.string()})["drawn"], 2);
  const Words parts{"--unet", moved.string(), "--clip_g", moved.string(), "--devices", "cpu:2"};
  EXPECT_EQ(batch(moved, parts)["drawn"], 2);
  EXPECT_EQ(batch(moved, parts)["drawn"], 0);
}

TEST_F(OneFileModel, TakesPartsFromElsewhere) {
  // Its text encoder is scaled, which no norm takes back.
  const fs::path other = copy_of("sd1");
  edit_weights(other / "text_encoder/model.safetensors", [](EditedTensors& all) {
    for (auto& [name, tensor] : all) {
      if (!name.ends_with("layer_norm1.bias")) continue;
      for (float& value : tensor.values) value += 1;
    }
  });
  const auto drawn = [&](const fs::path& from, const Words& more) {
    const Outcome outcome = draw(from, more);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return pixels("x.png");
  };
  const auto wanted = drawn(other, {});
  EXPECT_NE(drawn(model("sd1"), {}), wanted);
  EXPECT_FALSE(recipe_of("x.png").contains("text_encoder"));
  for (const fs::path& place : {other, other / "text_encoder", other / "text_encoder/model.safetensors"})
    EXPECT_EQ(drawn(model("sd1"), {"--text-encoder", place.string()}), wanted) << place;
  EXPECT_EQ(recipe_of("x.png")["text_encoder"], "model.safetensors");
  EXPECT_NE(infotext_of("x.png").find("Text encoder: model.safetensors"), std::string::npos);
  const Words unet{"--unet", (other / "unet").string()};
  EXPECT_EQ(drawn(other, unet), wanted);
  EXPECT_EQ(recipe_of("x.png")["unet"], "unet");
  // Packed, and out of a packed model.
  const std::string packed = (directory_ / "packed.safetensors").string();
  const Outcome outcome = brume({"convert", model("sd1").string(), packed, "--clip-l", other.string()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(drawn(packed, {}), wanted);
  EXPECT_EQ(drawn(model("sd1"), {"--text-encoder", packed}), wanted);
  expect_error(draw(model("sd1"), {"--text-encoder-2", packed}), 2,
               {"--text-encoder-2", "no such text encoder"});
  expect_error(draw(model("sd1"), {"--unet", model("sd2").string()}), 3,
               {"sd2/unet/config.json", "use one of the model's kind"});
  expect_error(draw(model("sd1"), {"--text-encoder", "missing"}), 3, {"missing"});
  expect_error(brume({"bench", "--arch", "tiny", "--unet", packed}), 2, {"--arch", "--unet"});
}

TEST_F(OneFileModel, NeedsNoWeightsWherePartsComeFromElsewhere) {
  struct Row {
    const char* option;
    const char* component;
    const char* file;
  };
  std::ofstream(directory_ / "jobs.txt") << "a fox\n";
  for (const Row& row : {Row{"--unet", "unet", "diffusion_pytorch_model.safetensors"},
                         Row{"--vae", "vae", "diffusion_pytorch_model.safetensors"},
                         Row{"--text-encoder", "text_encoder", "model.safetensors"}}) {
    const fs::path own = copy_of("sd1");
    const fs::path part = directory_ / row.component;
    fs::copy(own / row.component, part);
    fs::create_directory(directory_ / "out");
    const auto batch = [&](const Words& more) {
      Words words{"batch", "jobs.txt", "-o", "out", "-m",      own.string(),
                  "-W",    "64",       "-H", "64",  "--steps", "2"};
      words.insert(words.end(), {"--json", row.option, part.string()});
      words.insert(words.end(), more.begin(), more.end());
      const Outcome outcome = brume(words);
      EXPECT_EQ(outcome.code, 0) << row.option << ": " << outcome.err;
      return outcome.code == 0 ? nlohmann::json::parse(outcome.out) : nlohmann::json();
    };
    EXPECT_EQ(batch({})["drawn"], 1);
    // Its own have no part in the pictures, nor in their keys.
    fs::remove(own / row.component / row.file);
    EXPECT_EQ(batch({"--plan"})["pictures"], 0);
    EXPECT_EQ(batch({})["drawn"], 0);
    EXPECT_EQ(batch({"--force", "--devices", "cpu:2"})["drawn"], 1);
    edit_weights(part / row.file, [](EditedTensors& all) { all.begin()->second.values.front() += 0.5F; });
    EXPECT_EQ(batch({})["drawn"], 1);
    expect_error(brume({"batch", "jobs.txt", "-o", "out", "-m", own.string()}), 3, {row.component});
    fs::remove_all(own);
    fs::remove_all(part);
    fs::remove_all(directory_ / "out");
  }
}

TEST_F(OneFileModel, IsMeasured) {
  const Outcome outcome = brume({"bench", "-m", file_of("sd2").string(), "--steps", "1", "-W", "64", "-H",
                                 "64", "--max-rounds", "1", "--warm-up", "0", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["arch"], "sd2");
  expect_error(brume({"bench", "--arch", "tiny", "--prediction", "v"}), 2, {"--arch", "--prediction"});
}

TEST_F(OneFileModel, IsInspected) {
  const fs::path file = file_of("sd2");
  const Outcome text = brume({"inspect", file.string()});
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("  = a checkpoint of Stable Diffusion 2\n"), std::string::npos);
  const Outcome json = brume({"inspect", "--json", file.string()});
  EXPECT_EQ(nlohmann::json::parse(json.out)["files"][0]["checkpoint"]["family"], "Stable Diffusion 2");
  const Outcome other =
      brume({"inspect", "--json", (model("sd1") / "vae/diffusion_pytorch_model.safetensors").string()});
  EXPECT_TRUE(nlohmann::json::parse(other.out)["files"][0]["checkpoint"].is_null());
}

TEST_F(OneFileModel, ReadsWordsAsClipDoes) {
  const auto ids = [&](const fs::path& file) {
    const Outcome outcome = brume({"tokenize", "-m", file.string(), "A photo of an astronaut!"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::vector<int64_t> first = nlohmann::json::parse(outcome.out)["ids"];
    first.resize(10);
    return first;
  };
  using Ids = std::vector<int64_t>;
  constexpr int64_t kBegin = 49406;
  constexpr int64_t kEnd = 49407;
  // As transformers' CLIPTokenizer of openai/clip-vit-large-patch14 has them; OpenCLIP's padding is a "!".
  EXPECT_EQ(ids(file_of("sd1")), (Ids{kBegin, 320, 1125, 539, 550, 18376, 256, kEnd, kEnd, kEnd}));
  EXPECT_EQ(ids(file_of("sd2")), (Ids{kBegin, 320, 1125, 539, 550, 18376, 0, kEnd, 0, 0}));
}

TEST_F(OneFileModel, ThatIsNoneIsRefused) {
  expect_error(draw(model("sd1") / "vae/diffusion_pytorch_model.safetensors"), 3,
               {"is no checkpoint of Stable Diffusion 1, 2 or XL", "a directory in diffusers layout"});
  std::ofstream(directory_ / "noise.safetensors") << std::string(100, 'x');
  expect_error(draw(directory_ / "noise.safetensors"), 3, {"noise.safetensors"});
  expect_error(draw(model("sd1"), {"--vae", "missing"}), 3, {"missing"});
}

}  // namespace
}  // namespace brume::testing
