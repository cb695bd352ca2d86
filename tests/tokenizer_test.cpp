#include "brume/text/tokenizer.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/text/tokenize_report.h"
#include "brume/text/unicode.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace brume {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kCases = fs::path(BRUME_TEST_DATA) / "cases" / "tokenizer";

std::string read(const fs::path& path) { return read_text_file(path, 1 << 26, ExitCode::kInputInvalid); }

class TokenizerTest : public testing::Test {
 protected:
  Tokenizer tokenizer_ = Tokenizer::open(kCases / "directory");
};

TEST_F(TokenizerTest, GivesTheReferenceIdsOfTheCorpus) {
  std::ifstream corpus(kCases / "corpus.jsonl");
  int count = 0;
  for (std::string line; std::getline(corpus, line); ++count) {
    const json entry = json::parse(line);
    EXPECT_EQ(tokenizer_.encode(entry["text"].get<std::string>()), entry["ids"].get<std::vector<int64_t>>())
        << entry["text"];
  }
  EXPECT_GE(count, 2000);
}

TEST_F(TokenizerTest, PadsAndCuts) {
  const auto empty = tokenizer_.encode_padded("");
  ASSERT_EQ(empty.ids.size(), 77u);
  EXPECT_EQ(empty.ids[0], tokenizer_.begin_id());
  EXPECT_EQ(empty.ids[1], tokenizer_.end_id());
  EXPECT_EQ(empty.ids[76], tokenizer_.pad_id());
  EXPECT_EQ(empty.cut, 0);
  const auto longer = tokenizer_.encode_padded(std::string(80, '1'));
  ASSERT_EQ(longer.ids.size(), 77u);
  EXPECT_EQ(longer.ids[76], tokenizer_.end_id());
  EXPECT_EQ(longer.cut, 5);
}

TEST_F(TokenizerTest, RefusesTextThatIsNotUtf8) {
  EXPECT_EQ(message_of([&] { tokenizer_.encode("caf\xE9"); }, ExitCode::kInputInvalid),
            "prompt: not valid UTF-8: \"caf\\xe9\"; save the text as UTF-8");
}

TEST_F(TokenizerTest, LongWordsAndRunsOfMarksTakeNoQuadraticTime) {
  std::string marks;
  for (int i = 0; i < 250'000; ++i) marks += "\u0301\u0323";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(tokenizer_.encode(std::string(1 << 20, 'a')).empty());
  EXPECT_FALSE(tokenizer_.encode(marks).empty());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST_F(TokenizerTest, ReportNamesTokensChunksAndWhatWasCut) {
  const json report = json::parse(
      tokenize_report({tokenizer_}, std::string(75, '1') + " red 2", {.compat = Compat::kDiffusers}).json);
  EXPECT_EQ(report["tokens"][0],
            json({{"token", "1</w>"}, {"id", tokenizer_.encode("1")[0]}, {"chunk", 0}, {"weight", 1.0}}));
  EXPECT_EQ(report["tokens"][75]["chunk"], nullptr);
  EXPECT_EQ(report["tokens"].size(), 77u);
  EXPECT_EQ(report["chunks"], 1);
  EXPECT_EQ(report["cut"], json({{"tokens", 2}, {"text", "red 2"}}));
  EXPECT_EQ(report["ids"].size(), 77u);
}

TEST(NormalizePrompt, ComposesFoldsSpaceAndLowersCase) {
  EXPECT_EQ(normalize_prompt("E\u0301 \t\u3000X\u0130\u03a3"), "\u00e9 xi\u0307\u03c3");
}

/// A directory of small files to spoil.
class TokenizerFilesTest : public TemporaryDirectory {
 protected:
  void SetUp() override {
    TemporaryDirectory::SetUp();
    for (const char* name :
         {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"}) {
      fs::copy_file(kCases / "directory" / name, directory_ / name);
    }
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(directory_ / name) << text; }
  void change(const std::string& name, const json& patch) {
    json root = json::parse(read(directory_ / name));
    root.merge_patch(patch);
    write(name, root.dump());
  }
  /// The message of opening the directory, without the directory's own name and the remedy.
  std::string error() {
    std::string text = message_of([&] { Tokenizer::open(directory_); }, ExitCode::kModelInvalid);
    const std::string prefix = directory_.string() + "/";
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
    return text.substr(0, text.rfind("; "));
  }
};

TEST_F(TokenizerFilesTest, NamesTheLineOfABadMerge) {
  write("merges.txt", "#version: 0.2\nq q\n");
  EXPECT_EQ(error(), "merges.txt: line 2: \"qq\" is not in the vocabulary");
  write("merges.txt", "#version: 0.2\nt h\n\n");
  EXPECT_EQ(error(), "merges.txt: line 3: not two tokens with a space between them");
  write("merges.txt", "t h e\n");
  EXPECT_EQ(error(), "merges.txt: line 1: not two tokens with a space between them");
  write("merges.txt", "\x1b[2J a\n");
  EXPECT_EQ(error(), "merges.txt: line 1: \"\\x1b[2J\" is not in the vocabulary");
}

TEST_F(TokenizerFilesTest, RefusesABadVocabulary) {
  write("vocab.json", R"({"a": 0, "b": 0})");
  EXPECT_EQ(error(), "vocab.json: \"b\": id 0 is taken");
  write("vocab.json", R"({"a": 0, "b": 2})");
  EXPECT_EQ(error(), "vocab.json: \"b\": 2 is not an id from 0 to 1");
  write("vocab.json", R"({"a": -1})");
  EXPECT_EQ(error(), "vocab.json: \"a\": -1 is not an id from 0 to 0");
  write("vocab.json", R"({"a": 0, "a": 1})");
  EXPECT_EQ(error(), "vocab.json: duplicate key \"a\"");
  write("vocab.json", "[]");
  EXPECT_EQ(error(), "vocab.json: not a JSON object");
  write("vocab.json", "{}");
  EXPECT_EQ(error(), "vocab.json: not an object of tokens and ids");
  write("vocab.json", R"({"a": 0})");
  EXPECT_EQ(error(), "vocab.json: lacks the symbol of a byte, and has no unknown token");
  fs::remove(directory_ / "vocab.json");
  EXPECT_EQ(error(), directory_.string() + ": neither tokenizer.json nor vocab.json is here");
}

TEST_F(TokenizerFilesTest, RefusesABadConfig) {
  const char* name = "tokenizer_config.json";
  const std::string good = read(directory_ / name);
  const auto expect = [&](const json& patch, const std::string& message) {
    write(name, good);
    change(name, patch);
    EXPECT_EQ(error(), std::string(name) + ": " + message);
  };
  expect({{"model_max_length", 2}}, "model_max_length: 2 is not a whole number from 3 to 65536");
  expect({{"tokenizer_class", "T5Tokenizer"}}, "tokenizer_class: \"T5Tokenizer\" is not supported");
  expect({{"padding_side", "left"}}, "padding_side: \"left\" is not supported");
  expect({{"bos_token", 7}}, "bos_token: neither a text nor an object with a \"content\"");
  expect({{"pad_token", ""}}, "pad_token: an empty token");
  expect({{"eos_token", {{"lstrip", 1}}}}, "eos_token: lstrip: not a boolean");
  expect({{"eos_token", {{"single_word", true}}}}, "eos_token: single_word is not supported");
  expect({{"image_token", "x"}}, "image_token: is not a special token of CLIP");
  expect({{"added_tokens_decoder", {{"x", {{"content", "y"}}}}}},
         "added_tokens_decoder: x: this is not a token's id");
  write(name, good);
  change(name, {{"added_tokens_decoder", {{"5", {{"content", "y"}}}}}});
  EXPECT_TRUE(error().starts_with(directory_.string() + ": added token \"y\" has id 5, but it would be "));
}

TEST_F(TokenizerFilesTest, TakesThePadTokenOfTheSpecialTokensMap) {
  change("special_tokens_map.json", {{"pad_token", "!"}});
  const Tokenizer tokenizer = Tokenizer::open(directory_);
  EXPECT_EQ(tokenizer.token(tokenizer.pad_id()), "!");
  EXPECT_EQ(tokenizer.encode("a!b")[1], tokenizer.pad_id());
  EXPECT_EQ(tokenizer.encode_padded("a").ids[76], tokenizer.pad_id());
}

TEST_F(TokenizerFilesTest, ReadsTheSerializedFormAlone) {
  const Tokenizer expected = Tokenizer::open(directory_);
  json merges = json::array();
  std::ifstream lines(directory_ / "merges.txt");
  for (std::string line; std::getline(lines, line);) {
    if (line[0] == '#' && line.size() > 10) continue;
    merges.push_back({line.substr(0, line.find(' ')), line.substr(line.find(' ') + 1)});
  }
  const json root = {
      {"model",
       {{"type", "BPE"}, {"vocab", json::parse(read(directory_ / "vocab.json"))}, {"merges", merges}}}};
  for (const char* name : {"vocab.json", "merges.txt", "special_tokens_map.json"}) {
    fs::remove(directory_ / name);
  }
  write("tokenizer.json", root.dump());
  const std::string text = "A photograph of an astronaut riding a horse, 1234";
  EXPECT_EQ(Tokenizer::open(directory_).encode(text), expected.encode(text));
  write("tokenizer.json", R"({"model": {"type": "Unigram"}})");
  EXPECT_EQ(error(), "tokenizer.json: model: type: not \"BPE\"");
  write("tokenizer.json", R"({"version": "1.0"})");
  EXPECT_EQ(error(), "tokenizer.json: model: missing");
}

TEST_F(TokenizerFilesTest, NeedsNoMoreThanVocabularyAndMerges) {
  fs::remove(directory_ / "tokenizer_config.json");
  fs::remove(directory_ / "special_tokens_map.json");
  EXPECT_EQ(Tokenizer::open(directory_).max_length(), 77);
  fs::remove(directory_ / "merges.txt");
  message_of([&] { Tokenizer::open(directory_); }, ExitCode::kModelInvalid);
}

}  // namespace
}  // namespace brume
