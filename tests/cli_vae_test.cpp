#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <span>
#include <string>
#include <vector>

#include "brume/image/png.h"
#include "brume/weights/safetensors.h"
#include "cli_fixture.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

/// A model whose autoencoder is like SDXL's: sound in fp32, and beyond fp16 within its decoder.
class OverflowingVae : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    model_ = copy_of("sdxl");
    // The group norms behind it make the picture an ordinary one again.
    edit_weights(model_ / "vae/diffusion_pytorch_model.safetensors", [](EditedTensors& all) {
      for (float& value : all.at("decoder.mid_block.resnets.0.conv2.weight").values) value *= 100'000;
    });
  }
  void say(bool overflows) const {
    edit_json(model_ / "vae/config.json",
              [&](nlohmann::json& values) { values["force_upcast"] = overflows; });
  }
  std::vector<uint8_t> drawn(const Words& more) const {
    Words words{"-o", "x.png"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = brume(generate_words(words, model_));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return pixels("x.png");
  }
  nlohmann::json notes(const std::string& name) const {
    const nlohmann::json recipe = recipe_of(name);
    return recipe.contains("notes") ? recipe["notes"] : nlohmann::json::array();
  }
  fs::path model_;
  const nlohmann::json fallback_{"vae_fallback fp32"};
};

TEST_F(OverflowingVae, ThatSaysSoStaysInFp32) {
  say(true);
  drawn({"--dtype", "fp16"});
  EXPECT_EQ(notes("x.png"), nlohmann::json::array());
}

TEST_F(OverflowingVae, ThatDoesNotIsDecodedAgainInFp32) {
  say(true);
  const std::vector<uint8_t> exact = drawn({"--dtype", "fp16"});
  say(false);
  EXPECT_EQ(drawn({"--dtype", "fp16"}), exact);
  EXPECT_EQ(notes("x.png"), fallback_);
  // bf16 reaches as far as fp32.
  drawn({"--dtype", "bf16"});
  EXPECT_EQ(notes("x.png"), nlohmann::json::array());
  drawn({"--dtype", "fp16", "--vae-tiling"});
  EXPECT_EQ(notes("x.png"), (nlohmann::json{"vae_fallback fp32", "vae_tiling"}));
}

TEST_F(OverflowingVae, IsDecodedAgainInBatchesToo) {
  say(false);
  const std::vector<uint8_t> exact = drawn({"--dtype", "fp16", "-s", "5"});
  std::ofstream(directory_ / "jobs.txt") << R"({"prompt": "a fox", "seed": [5, 6]})"
                                         << "\n";
  fs::create_directory(directory_ / "out");
  const Outcome outcome =
      brume({"batch", "jobs.txt", "-o", "out", "-m", model_.string(), "-W", "64", "-H", "64", "--steps", "2",
             "--dtype", "fp16", "--deterministic", "--name", "{seed}"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(pixels("out/5.png"), exact);
  EXPECT_EQ(notes("out/5.png"), fallback_);
  EXPECT_EQ(notes("out/6.png"), fallback_);
}

/// As its decoder does, within its encoder.
TEST_F(OverflowingVae, IsEncodedAgainInFp32) {
  edit_weights(model_ / "vae/diffusion_pytorch_model.safetensors", [](EditedTensors& all) {
    for (float& value : all.at("encoder.mid_block.resnets.0.conv2.weight").values) value *= 100'000;
  });
  fs::copy(model("pictures/reading") / "plain.png", directory_ / "in.png");
  const auto edited = [&](const Words& more) {
    Words words{"-i", "in.png", "--strength", "0.5", "--steps", "4"};
    words.insert(words.end(), more.begin(), more.end());
    return drawn(words);
  };
  say(true);
  const std::vector<uint8_t> exact = edited({"--dtype", "fp16"});
  EXPECT_EQ(notes("x.png"), nlohmann::json::array());
  say(false);
  EXPECT_EQ(edited({"--dtype", "fp16"}), exact);
  EXPECT_EQ(notes("x.png"), fallback_);
  edited({"--dtype", "bf16"});
  EXPECT_EQ(notes("x.png"), nlohmann::json::array());
}

/// A small one beside the model: by its directory, and by its weights alone.
TEST_F(CommandLine, ATinyAutoencoderIsToldByItsTensors) {
  const auto drawn = [&](const Words& more) {
    Words words{"-o", "x.png"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = brume(generate_words(words, model("sd1")));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err.find("not used"), std::string::npos) << outcome.err;
    return pixels("x.png");
  };
  const fs::path tiny = fs::path(BRUME_TEST_DATA) / "reference/variants/vae_tiny";
  const fs::path file = tiny / "diffusion_pytorch_model.safetensors";
  const std::vector<uint8_t> plain = drawn({});
  const std::vector<uint8_t> other = drawn({"--taesd", tiny.string()});
  EXPECT_NE(other, plain);
  EXPECT_EQ(drawn({"--vae", file.string()}), other);
  EXPECT_EQ(recipe_of("x.png")["vae"], "diffusion_pytorch_model.safetensors");
  drawn({"--taesd", file.string(), "--vae-tiling", "--dtype", "bf16"});
  // Packed, and as a picture's encoder.
  EXPECT_EQ(brume({"convert", model("sd1").string(), "packed.safetensors", "--vae", file.string()}).code, 0);
  EXPECT_EQ(brume(generate_words({"-o", "x.png"}, directory_ / "packed.safetensors")).code, 0);
  EXPECT_EQ(pixels("x.png"), other);
  fs::copy_file(directory_ / "x.png", directory_ / "first.png");
  drawn({"--taesd", file.string(), "-i", "first.png"});

  const fs::path wrong = directory_ / "wrong.safetensors";
  std::string bytes = bytes_of(file.string());
  const std::string name = "encoder.layers.0.weight";
  bytes.at(bytes.find(name) + name.size() - 1) = 'x';
  std::ofstream(wrong, std::ios::binary) << bytes;
  expect_error(brume(generate_words({"--taesd", wrong.string()}, model("sd1"))), 3,
               {"wrong.safetensors", "encoder.layers.0.weight", "missing"});
}

/// The same weights as taesd.py numbers the layers of its two halves, whose decoder begins with a clamp.
class TaesdNames : public CommandLine {
 protected:
  /// A file of the layers whose half has a name in `halves`: "taesd_decoder." for the decoder's.
  std::string named(const std::string& file, const std::map<std::string, std::string>& halves) const {
    const SafetensorsFile tiny(model("variants/vae_tiny") / "diffusion_pytorch_model.safetensors");
    std::vector<std::vector<std::byte>> data;
    data.reserve(tiny.header().tensors.size());
    constexpr float kScale = 0.18215F;
    std::vector<TensorToWrite> tensors{
        {"vae_scale", StoredType::kF32, {1}, std::as_bytes(std::span(&kScale, 1))}};  // ComfyUI's
    for (const StoredTensor& tensor : tiny.header().tensors) {
      std::smatch parts;
      EXPECT_TRUE(std::regex_match(tensor.name, parts, std::regex(R"((\w+)\.layers\.(\d+)\.(.*))")));
      const auto half = halves.find(parts[1]);
      if (half == halves.end()) continue;
      const int before = half->first == "decoder" ? 1 : 0;
      data.emplace_back(tensor.end - tensor.begin);
      tiny.read(tensor, data.back());
      tensors.push_back({half->second + std::to_string(std::stoi(parts[2]) + before) + "." + parts[3].str(),
                         tensor.dtype, tensor.shape, data.back()});
    }
    write_safetensors(directory_ / file, std::move(tensors), {});
    return file;
  }
  Outcome draw(const std::string& vae, const Words& more = {}) const {
    Words words{"--taesd", vae, "-o", "x.png"};
    words.insert(words.end(), more.begin(), more.end());
    return brume(generate_words(words));
  }
  std::vector<uint8_t> drawn(const std::string& vae, const Words& more = {}) const {
    const Outcome outcome = draw(vae, more);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return pixels("x.png");
  }
};

TEST_F(TaesdNames, AreThoseOfDiffusers) {
  const std::string tiny = model("variants/vae_tiny").string();
  const std::vector<uint8_t> wanted = drawn(tiny);
  fs::copy_file(directory_ / "x.png", directory_ / "first.png");
  const Words edit{"-i", "first.png", "--strength", "0.5"};
  const std::vector<uint8_t> edited = drawn(tiny, edit);
  EXPECT_NE(edited, wanted);
  for (const std::string& comfy : {std::string("taesd_"), std::string()}) {
    const std::string file =
        named(comfy + "both.safetensors", {{"encoder", comfy + "encoder."}, {"decoder", comfy + "decoder."}});
    EXPECT_EQ(drawn(file), wanted) << file;
    EXPECT_EQ(drawn(file, edit), edited) << file;
  }
}

TEST_F(TaesdNames, OfADecoderAloneDrawFromWords) {
  const std::vector<uint8_t> wanted = drawn(model("variants/vae_tiny").string());
  fs::copy_file(directory_ / "x.png", directory_ / "first.png");
  for (const std::string& prefix : {std::string(), std::string("taesd_decoder.")}) {
    const std::string file = named(prefix + "decoder.safetensors", {{"decoder", prefix}});
    EXPECT_EQ(drawn(file), wanted) << file;
    expect_error(draw(file, {"-i", "first.png"}), 2,
                 {"--init-img", file + ": vae has no encoder", "name an autoencoder of both halves"});
  }
  const Outcome packed =
      brume({"convert", model("sd1").string(), "packed.safetensors", "--vae", "decoder.safetensors"});
  EXPECT_EQ(packed.code, 0) << packed.err;
  EXPECT_EQ(brume(generate_words({"-o", "x.png"}, directory_ / "packed.safetensors")).code, 0);
  EXPECT_EQ(pixels("x.png"), wanted);
  expect_error(brume(generate_words({"-i", "first.png", "-o", "x.png"}, directory_ / "packed.safetensors")),
               2, {"--init-img", "has no encoder"});
  expect_error(draw(named("encoder.safetensors", {{"encoder", ""}})), 3,
               {"encoder.safetensors", "without a decoder", "taesd_decoder.safetensors"});
}

}  // namespace
}  // namespace brume::testing
