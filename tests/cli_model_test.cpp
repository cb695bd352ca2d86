#include <cmath>
#include <fstream>
#include <limits>

#include "cli_fixture.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUNetWeights = "unet/diffusion_pytorch_model.safetensors";
constexpr const char* kVaeWeights = "vae/diffusion_pytorch_model.safetensors";

class BrokenModel : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    model_ = copy_of("sd1");
  }
  Outcome draw(const Words& more = {}) const {
    Words words{"-o", "x.png"};
    words.insert(words.end(), more.begin(), more.end());
    return brume(generate_words(words, model_));
  }
  void set_first(const char* file, const char* tensor, float value) const {
    edit_weights(model_ / file, [&](EditedTensors& all) { all.at(tensor).values.at(0) = value; });
  }
  fs::path model_;
};

TEST_F(BrokenModel, NumbersThatAreNotFiniteNameTheirStage) {
  struct Row {
    const char* file;
    const char* tensor;
    const char* stage;
  };
  const std::vector<Row> rows{
      {kVaeWeights, "decoder.conv_out.bias", "decoded picture"},
      {kUNetWeights, "conv_out.bias", "latents after step 1"},
      {"text_encoder/model.safetensors", "text_model.final_layer_norm.bias", "text embedding"},
  };
  // From the last stage to the first: each new one comes before those that are already broken.
  for (const Row& row : rows) {
    set_first(row.file, row.tensor,
              row.stage[0] == 'l' ? std::numeric_limits<float>::infinity() : std::nanf(""));
    const Outcome outcome = draw();
    expect_error(outcome, 1, {"seed 42", row.stage, "not saved"});
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(names(), Words{"models"});
  }
  const Outcome report = draw({"--json"});
  EXPECT_EQ(report.code, 1);
  const auto picture = nlohmann::json::parse(report.out)["pictures"][0];
  EXPECT_EQ(picture["failed"], "text embedding");
  EXPECT_TRUE(picture["path"].is_null());
}

TEST_F(BrokenModel, DecodingIsTriedAgainInFp32) {
  // The largest fp32 number is infinite as bf16.
  set_first(kVaeWeights, "decoder.conv_out.bias", std::numeric_limits<float>::max());
  const Outcome outcome = draw({"--dtype", "bf16"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(recipe_of("x.png")["notes"], nlohmann::json{"vae_fallback fp32"});
  edit_json(model_ / "vae/config.json", [](nlohmann::json& values) { values["force_upcast"] = false; });
  EXPECT_EQ(draw({"--dtype", "fp16"}).code, 0);
  EXPECT_EQ(recipe_of("x.png")["notes"], nlohmann::json{"vae_fallback fp32"});
  EXPECT_EQ(recipe_of("x.png")["dtype"], "fp16");
}

TEST_F(BrokenModel, UnsupportedValuesNameFileKeyAndValue) {
  struct Row {
    const char* file;
    const char* key;
    nlohmann::json value;
  };
  using Json = nlohmann::json;
  const std::vector<Row> rows{
      {"model_index.json", "_class_name", "FluxPipeline"},
      {"model_index.json", "unet", Json{"diffusers", "UNet3DConditionModel"}},
      {"model_index.json", "vae", Json{"diffusers", "VQModel"}},
      {"model_index.json", "tokenizer", Json{"transformers", "T5Tokenizer"}},
      {"model_index.json", "text_encoder", Json{"transformers", "T5EncoderModel"}},
      {"unet/config.json", "_class_name", "UNet1DModel"},
      {"unet/config.json", "act_fn", "gelu"},
      {"unet/config.json", "time_embedding_type", "fourier"},
      {"unet/config.json", "down_block_types", Json{"AttnDownBlock2D", "DownBlock2D"}},
      {"unet/config.json", "norm_num_groups", 7},
      {"unet/config.json", "layers_per_block", "two"},
      {"unet/config.json", "sample_size", 100'000'000},
      {"unet/config.json", "norm_eps", -1},
      {"unet/config.json", "mid_block_scale_factor", 0},
      {"unet/config.json", "freq_shift", 2},
      {"vae/config.json", "_class_name", "VQModel"},
      {"vae/config.json", "act_fn", "relu"},
      {"vae/config.json", "latents_mean", Json{1.0}},
      {"vae/config.json", "scaling_factor", -1},
      {"vae/config.json", "shift_factor", 1e300},
      {"text_encoder/config.json", "layer_norm_eps", 7},
      {"text_encoder/config.json", "hidden_act", "relu"},
      {"text_encoder/config.json", "model_type", "t5"},
      {"text_encoder/config.json", "num_attention_heads", 7},
      {"scheduler/scheduler_config.json", "_class_name", "FlowMatchEulerDiscreteScheduler"},
      {"scheduler/scheduler_config.json", "beta_schedule", "sigmoid"},
      {"scheduler/scheduler_config.json", "prediction_type", "flow"},
      {"scheduler/scheduler_config.json", "clip_sample_range", -1},
      {"scheduler/scheduler_config.json", "sample_max_value", 0},
      {"scheduler/scheduler_config.json", "beta_end", 1},
      {"brume.json", "guidance_scale", -1},
      {"brume.json", "num_inference_steps", 0},
      {"brume.json", "width", 100},
      {"brume.json", "height", 99},
  };
  std::ofstream(model_ / "brume.json") << "{\"guidance_scale\": 3}";
  for (const Row& row : rows) {
    Json before;
    edit_json(model_ / row.file, [&](Json& values) {
      before = values;
      values[row.key] = row.value;
    });
    SCOPED_TRACE(row.key);
    expect_error(draw(), 3, {(model_ / row.file).string(), row.key, row.value.dump(), "; "});
    edit_json(model_ / row.file, [&](Json& values) { values = before; });
  }
  EXPECT_EQ(draw().code, 0);
}

TEST_F(BrokenModel, PartsThatDoNotFitTogether) {
  const auto set = [&](const char* file, const char* key, const nlohmann::json& value) {
    edit_json(model_ / file, [&](nlohmann::json& values) { values[key] = value; });
  };
  set("tokenizer/tokenizer_config.json", "model_max_length", 20);
  expect_error(draw(), 3, {"text_encoder/config.json", "max_position_embeddings: 13"});
  set("tokenizer/tokenizer_config.json", "model_max_length", 13);
  set("text_encoder/config.json", "vocab_size", 600);
  expect_error(draw(), 3, {"text_encoder", "610"});
}

TEST_F(CommandLine, TokenizersOfDifferentLengths) {
  const fs::path copy = copy_of("sdxl");
  edit_json(copy / "tokenizer_2/tokenizer_config.json",
            [](nlohmann::json& values) { values["model_max_length"] = 5; });
  expect_error(brume(generate_words({}, copy)), 3, {"tokenizer_2", "reads 5 tokens"});
}

TEST_F(BrokenModel, MissingAndSurplusWeightsAreNamed) {
  constexpr const char* kName = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight";
  edit_weights(model_ / kUNetWeights, [&](EditedTensors& all) {
    all["extra.weight"] = {{1}, {0.0F}};
    all["more.weight"] = {{1}, {0.0F}};
  });
  const Outcome surplus = draw();
  EXPECT_EQ(surplus.code, 0);
  EXPECT_NE(surplus.err.find("note: unet: unused weight extra.weight\n"), std::string::npos) << surplus.err;
  EXPECT_NE(surplus.err.find("note: unet: unused weight more.weight\n"), std::string::npos);
  edit_weights(model_ / kUNetWeights, [&](EditedTensors& all) { all.erase(kName); });
  expect_error(draw(), 3, {kUNetWeights, std::string("\"") + kName + "\" is missing"});
  edit_weights(model_ / kUNetWeights, [&](EditedTensors& all) { all[kName] = {{1, 1}, {0.0F}}; });
  expect_error(draw(), 3, {kUNetWeights, kName, "has shape [1, 1], not ["});
}

TEST_F(BrokenModel, MissingAndBrokenFiles) {
  const auto size = fs::file_size(model_ / kVaeWeights);
  fs::resize_file(model_ / kVaeWeights, size - 100);
  expect_error(draw(), 3, {kVaeWeights});
  fs::resize_file(model_ / kVaeWeights, 4);
  expect_error(draw(), 3, {kVaeWeights, "too few"});
  fs::remove(model_ / kVaeWeights);
  expect_error(draw(), 3, {"vae", "no weights found", "diffusion_pytorch_model.safetensors"});
  std::ofstream(model_ / "tokenizer/vocab.json") << "[]";
  expect_error(draw(), 3, {"tokenizer/vocab.json"});
  std::ofstream(model_ / "unet/config.json") << "{\"a\": ";
  expect_error(draw(), 3, {"unet/config.json", "not valid JSON"});
  expect_error(brume({"tokenize", "-m", model_.string(), "a"}), 3, {"tokenizer/vocab.json"});
  fs::remove(model_ / "model_index.json");
  expect_error(draw(), 3, {"model_index.json"});
  fs::remove_all(model_);
  expect_error(draw(), 3, {model_.string(), "not a model directory", "model_index.json"});
  expect_error(brume({"tokenize", "-m", model_.string(), "a"}), 3, {"tokenizer"});
  EXPECT_EQ(names(), Words{"models"});
}

TEST_F(CommandLine, AMissingShardIsNamed) {
  const fs::path copy = copy_of("sdxl");
  fs::remove(copy / "unet/diffusion_pytorch_model-00003-of-00004.safetensors");
  const Outcome outcome = brume(generate_words({}, copy));
  expect_error(outcome, 3, {"index.json", "diffusion_pytorch_model-00003-of-00004.safetensors"});
}

}  // namespace
}  // namespace brume::testing
