#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "brume/base/config_file.h"
#include "brume/base/edit_distance.h"
#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/file.h"
#include "brume/base/noise.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace brume {
namespace {

TEST(Escape, ControlBytesAndBrokenUtf8AreShownAsHex) {
  EXPECT_EQ(escape_control("a\x1b[2J\n\x7f"), "a\\x1b[2J\\x0a\\x7f");
  EXPECT_EQ(escape_control("caf\xc3\xa9 \xc2\x9b"), "caf\xc3\xa9 \\xc2\\x9b");
  EXPECT_EQ(escape_control("\xff\xed\xa0\x80"), "\\xff\\xed\\xa0\\x80");
}

TEST(Escape, Utf8) {
  EXPECT_TRUE(is_utf8("\xf0\x9f\x8d\x8e"));
  EXPECT_FALSE(is_utf8("\xc0\xaf"));
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));
  EXPECT_FALSE(is_utf8("\xe2\x82"));
}

TEST(Escape, ABoundedTextEndsBetweenCharacters) {
  EXPECT_EQ(bounded("caf\xc3\xa9", 5), "caf\xc3\xa9");
  EXPECT_EQ(bounded("caf\xc3\xa9s", 5), "caf\xc3\xa9...");
  EXPECT_EQ(bounded("caf\xc3\xa9s", 4), "caf...");
}

TEST(EditDistance, CountsWhatATypistGetsWrong) {
  EXPECT_EQ(edit_distance("steps", "steps"), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("step", "steps"), 1U);
  EXPECT_EQ(edit_distance("stxps", "steps"), 1U);
  EXPECT_EQ(edit_distance("stpes", "steps"), 1U);
  EXPECT_EQ(edit_distance("ca", "abc"), 3U);  // no letter is moved twice
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(ErrorLine, TellsWhatItNames) {
  const Error error(ExitCode::kModelInvalid, "a\x1b/b.bin", "is damaged");
  EXPECT_TRUE(error.names("a\x1b/b.bin"));
  EXPECT_FALSE(error.names("a\x1b/b"));
  EXPECT_FALSE(Error(ExitCode::kModelInvalid, "", "is damaged").names("is damaged"));
}

TEST(ErrorLine, NamesWhereWhatAndRemedyOnOneLine) {
  EXPECT_STREQ(Error(ExitCode::kUsage, "--steps", "must be\n1", "give a number").what(),
               "--steps: must be\\x0a1; give a number");
}

TEST(ConfigFile, NamesFileKeyAndValue) {
  const ConfigFile config(R"({"a": 3, "act_fn": "gelu", "deep": [1, 2], "_x": 1})", "unet/config.json");
  EXPECT_EQ(config.get_int("a", 0, 0, 10), 3);
  EXPECT_EQ(config.get_int("b", 7, 0, 10), 7);
  EXPECT_EQ(config.get_ints("deep", 1, 2), (std::vector<int64_t>{1, 2}));
  using Lists = std::vector<std::vector<int64_t>>;
  const ConfigFile nested(R"({"lists": [0, [2, 3]], "one": 4, "flat": [5, 6], "wrong": [[1], -1]})", "x");
  EXPECT_EQ(nested.get_int_lists("lists", 1, {1, 2}), (Lists{{0}, {2, 3}}));
  EXPECT_EQ(nested.get_int_lists("one", 1, {1, 2}), (Lists{{4}, {4, 4}}));
  EXPECT_EQ(nested.get_int_lists("flat", 1, {1, 2}), (Lists{{5}, {6, 6}}));
  EXPECT_EQ(nested.get_int_lists("absent", 1, {1, 2}), (Lists{{1}, {1, 1}}));
  EXPECT_TRUE(nested.is_nested("lists"));
  EXPECT_FALSE(nested.is_nested("flat"));
  message_of([&] { nested.get_int_lists("lists", 1, {1, 1}); }, ExitCode::kModelInvalid);
  message_of([&] { nested.get_int_lists("lists", 1, {1}); }, ExitCode::kModelInvalid);
  message_of([&] { nested.get_int_lists("wrong", 1, {1, 1}); }, ExitCode::kModelInvalid);
  EXPECT_EQ(message_of(
                [&] {
                  config.expect("act_fn", {"silu", "swish"});
                },
                ExitCode::kModelInvalid),
            "unet/config.json: act_fn: \"gelu\" is not supported; brume supports silu swish");
  EXPECT_EQ(message_of([&] { config.require_int("a", 4, 5); }, ExitCode::kModelInvalid),
            "unet/config.json: a: 3 is not supported; it must be a whole number from 4 to 5");
}

TEST(ConfigFile, ListsKeysNobodyRead) {
  const ConfigFile config(R"({"a": 1, "b": 2, "_c": 3})", "x");
  config.has("a");
  std::vector<std::string> remarks;
  config.note_unread(remarks);
  EXPECT_EQ(remarks, std::vector<std::string>{"x: not used: b"});
}

TEST(ConfigFile, RefusesDuplicatesDepthAndRubbish) {
  message_of([] { ConfigFile(R"({"a": 1, "a": 2})", "x"); }, ExitCode::kModelInvalid);
  message_of([] { ConfigFile(std::string(100, '['), "x"); }, ExitCode::kModelInvalid);
  message_of([] { ConfigFile("[1]", "x"); }, ExitCode::kModelInvalid);
  message_of([] { ConfigFile("{} {}", "x"); }, ExitCode::kModelInvalid);
  message_of([] { ConfigFile(std::string("{}\0rubbish", 10), "x"); }, ExitCode::kModelInvalid);
  message_of([] { ConfigFile("\xef\xbb\xbf{}", "x"); }, ExitCode::kModelInvalid);
  message_of([] { ConfigFile(R"({"a": 1e999})", "x"); }, ExitCode::kModelInvalid);
}

class Files : public TemporaryDirectory {
 protected:
  size_t entries() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory_), {}));
  }
};

TEST_F(Files, AtomicWriteLeavesOnlyTheFile) {
  const std::string text = "hello";
  write_file_atomically(directory_ / "a", std::as_bytes(std::span(text)));
  EXPECT_EQ(read_text_file(directory_ / "a", 100, ExitCode::kInputInvalid), text);
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, KeepRefusesAnExistingFileAndLeavesNoTemporary) {
  const std::string text = "hello";
  write_file_atomically(directory_ / "a", std::as_bytes(std::span(text)));
  const std::string other = "other";
  message_of(
      [&] { write_file_atomically(directory_ / "a", std::as_bytes(std::span(other)), Existing::kKeep); },
      ExitCode::kOutputFailed);
  EXPECT_EQ(read_text_file(directory_ / "a", 100, ExitCode::kInputInvalid), text);
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, UnwritablePlacesAreNamed) {
  const std::string text = "x";
  const std::string message =
      message_of([&] { write_file_atomically(directory_ / "no" / "a", std::as_bytes(std::span(text))); },
                 ExitCode::kOutputFailed);
  EXPECT_NE(message.find((directory_ / "no" / "a").string()), std::string::npos);
}

TEST_F(Files, AFileThatShrinksIsAnError) {
  std::ofstream(directory_ / "a") << "0123456789";
  const InputFile file(directory_ / "a", ExitCode::kModelInvalid);
  std::filesystem::resize_file(directory_ / "a", 4);
  std::array<std::byte, 10> bytes{};
  message_of([&] { file.read_at(0, bytes); }, ExitCode::kModelInvalid);
}

TEST_F(Files, DirectoriesAndMissingFilesAreRefused) {
  message_of([&] { InputFile(directory_, ExitCode::kModelInvalid); }, ExitCode::kModelInvalid);
  message_of([&] { InputFile(directory_ / "none", ExitCode::kInputInvalid); }, ExitCode::kInputInvalid);
}

TEST(Noise, APictureDoesNotDependOnItsNeighbours) {
  const at::Tensor two = Noise({5, 6}).normal({4, 3, 5});
  EXPECT_TRUE(two[1].equal(Noise({6}).normal({4, 3, 5})[0]));
  EXPECT_FALSE(two[0].equal(two[1]));
}

}  // namespace
}  // namespace brume
