#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "brume/image/png.h"
#include "cli_batch_fixture.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

/// Embeddings of the reference cases in a directory embeddings/: "ink", "snow", and one that is too wide.
class EmbeddingCommand : public BatchCommand {
 protected:
  void SetUp() override {
    BatchCommand::SetUp();
    fs::create_directory(directory_ / "embeddings");
    const fs::path cases = fs::path(BRUME_TEST_DATA) / "reference/embeddings";
    fs::copy_file(cases / "sd1/ink.pt", directory_ / "embeddings/ink.pt");
    fs::copy_file(cases / "sd1/snow_params.safetensors", directory_ / "embeddings/snow.safetensors");
    fs::copy_file(cases / "sd2/ink.pt", directory_ / "embeddings/wide.pt");
  }

  std::vector<uint8_t> drawn(const Words& more) const {
    Words words{"-o", "x.png"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = generate(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return pixels("x.png");
  }
};

TEST_F(EmbeddingCommand, ByFileAndByDirectoryIsTheSamePicture) {
  const auto plain = drawn({"-p", "a ink fox"});
  const auto with = drawn({"-p", "a ink fox", "--embedding", "embeddings/ink.pt"});
  EXPECT_NE(with, plain);
  const std::string used = recipe_of("x.png")["embeddings"];
  EXPECT_TRUE(used.starts_with("ink:")) << used;
  EXPECT_EQ(used.size(), 4 + 64U);
  // A1111 writes twelve digits.
  EXPECT_NE(infotext_of("x.png").find("TI hashes: \"ink: " + used.substr(4, 12) + "\", "), std::string::npos)
      << infotext_of("x.png");
  EXPECT_EQ(drawn({"-p", "a word fox", "--embedding", "embeddings/ink.pt:word"}), with);
  EXPECT_EQ(drawn({"-p", "a embedding:ink fox", "--embeddings-dir", "embeddings"}), with);
  // What no prompt names changes nothing.
  EXPECT_EQ(drawn({"-p", "a fox", "--embeddings-dir", "embeddings"}), drawn({"-p", "a fox"}));
  EXPECT_FALSE(recipe_of("x.png").contains("embeddings"));
  const Outcome outcome = generate({"-p", "a fox", "--embeddings-dir", "embeddings", "-o", "y.png"});
  EXPECT_NE(outcome.err.find("note: left out: embeddings/wide.pt"), std::string::npos) << outcome.err;
}

TEST_F(EmbeddingCommand, WhatCannotBeIsOneLine) {
  expect_error(generate({"--embedding", "embeddings/wide.pt"}), 3,
               {"wide.pt", "string_to_param.*", "36", "30"});
  expect_error(generate({"--embedding", "none.pt"}), 3, {"none.pt"});
  expect_error(generate({"--embedding", "embeddings/ink.pt:"}), 2, {"FILE:NAME"});
  expect_error(
      generate({"--embedding", "embeddings/ink.pt", "--embedding", "embeddings/snow.safetensors:ink"}), 2,
      {"another one of this name"});
  expect_error(generate({"--embeddings-dir", "none"}), 4, {"--embeddings-dir none"});
  expect_error(generate({"-p", "embedding:none", "--strict"}), 4, {"embedding:none is no embedding"});
  expect_error(generate({"-p", "embedding:inkwell", "--strict", "--embedding", "embeddings/ink.pt"}), 4,
               {"embedding:inkwell is no embedding"});
  fs::copy_file(directory_ / "embeddings/ink.pt", directory_ / "embeddings/\xff.pt");
  const Outcome odd = generate({"-p", "a ink", "--embeddings-dir", "embeddings", "-o", "z.png"});
  EXPECT_EQ(odd.code, 0) << odd.err;
  EXPECT_NE(odd.err.find("no prompt can hold its name"), std::string::npos) << odd.err;
  std::ofstream(directory_ / "bad.pt") << "not a pickle";
  expect_error(generate({"--embedding", "bad.pt"}), 3, {"bad.pt"});
}

TEST_F(EmbeddingCommand, TokenizeShowsThem) {
  const Outcome outcome = brume({"tokenize", "-m", model("sd1").string(), "(ink:1.3) fox embedding:snow",
                                 "--embeddings-dir", "embeddings"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto tokens = nlohmann::json::parse(outcome.out)["tokens"];
  EXPECT_EQ(tokens[0]["token"], "ink[0]");
  EXPECT_EQ(tokens[2]["token"], "ink[2]");
  EXPECT_EQ(tokens[2]["weight"], 1.3);
  EXPECT_EQ(tokens[2]["embedding"], "ink");
  EXPECT_EQ(tokens.back()["embedding"], "snow");
}

TEST_F(EmbeddingCommand, BatchesReadThemAndKeysHoldThem) {
  write_jobs(
      "{\"id\":\"a\",\"prompt\":\"a ink fox\",\"seed\":42}\n{\"id\":\"b\",\"prompt\":\"a "
      "fox\",\"seed\":42}\n");
  const Words with{"--name", "{id}", "--embeddings-dir", "embeddings", "--deterministic"};
  EXPECT_EQ(batch(with).code, 0);
  EXPECT_EQ(pixels("out/a.png"),
            drawn({"-p", "a ink fox", "--embedding", "embeddings/ink.pt", "--cfg-scale", "2"}));
  const std::string key_a = recipe_of("out/a.png")["key"];
  const std::string key_b = recipe_of("out/b.png")["key"];
  fs::create_directory(directory_ / "two");
  Words workers = with;
  workers.insert(workers.end(), {"--devices", "cpu:2"});
  EXPECT_EQ(batch(workers, "two").code, 0);
  EXPECT_EQ(pixels("two/a.png"), pixels("out/a.png"));
  fs::create_directory(directory_ / "none");
  EXPECT_EQ(batch({"--name", "{id}"}, "none").code, 0);
  EXPECT_NE(recipe_of("none/a.png")["key"], key_a);
  EXPECT_EQ(recipe_of("none/b.png")["key"], key_b);
}

}  // namespace
}  // namespace brume::testing
