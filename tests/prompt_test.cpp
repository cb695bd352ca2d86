#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "brume/base/file.h"
#include "brume/text/prompt_choices.h"
#include "brume/text/prompt_plan.h"
#include "brume/text/prompt_schedule.h"
#include "brume/text/prompt_syntax.h"
#include "brume/text/token_chunks.h"
#include "brume/text/tokenize_report.h"
#include "brume/text/wildcard_files.h"
#include "message_of.h"
#include "temporary_directory.h"

// What people write into prompts. The expected values are tools/reference/prompt_cases.py's.
namespace brume {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Lines = std::vector<std::string>;

const fs::path kReference = fs::path(BRUME_TEST_DATA) / "reference";

const json& cases() {
  static const json kCases =
      json::parse(read_text_file(kReference / "prompts/case.json", 1 << 24, ExitCode::kInputInvalid));
  return kCases;
}

std::string refused(const std::function<void()>& action) {
  return message_of(action, ExitCode::kInputInvalid);
}

TEST(Emphasis, IsReadAsTheReferenceReadsIt) {
  ASSERT_GT(cases()["emphasis"].size(), 400U);
  for (const json& one : cases()["emphasis"]) {
    const std::string text = one["text"];
    const ReadEmphasis read = read_emphasis(text);
    const json& wanted = one["pieces"];
    ASSERT_EQ(read.pieces.size(), wanted.size()) << text;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const PromptPiece& piece = read.pieces[i];
      const bool is_break = wanted[i].size() == 1;
      EXPECT_EQ(piece.kind == PromptPiece::Kind::kBreak, is_break) << text;
      if (is_break) continue;
      EXPECT_EQ(piece.text, wanted[i][0]) << text;
      EXPECT_DOUBLE_EQ(piece.weight, wanted[i][1].get<double>()) << text;
    }
  }
}

TEST(Emphasis, SaysWhatDoesNotMeanWhatItSeemsTo) {
  EXPECT_EQ(read_emphasis("a (b:1.2) [c] \\( 16:9").ignored, Lines{});
  EXPECT_EQ(read_emphasis("a (b").ignored, Lines{"\"(b\" is never closed"});
  EXPECT_EQ(read_emphasis("[b").ignored, Lines{"\"[b\" is never closed"});
  EXPECT_EQ(read_emphasis("a:1.2) b").ignored, Lines{"\":1.2)\" closes nothing"});
  EXPECT_EQ(read_emphasis("a] b").ignored, Lines{"\"]\" closes nothing"});
  EXPECT_EQ(read_emphasis("(a:1.2.3)").ignored, Lines{"\"1.2.3\" is no weight"});
  EXPECT_EQ(read_emphasis("(" + std::string(30, 'x')).ignored,
            Lines{"\"(xxxxxxxxxxxxxxxxxxxxxxx...\" is never closed"});
}

TEST(Emphasis, HasALimitOfDepthAndIsLinear) {
  const std::string most(kMostBrackets, '(');
  EXPECT_EQ(read_emphasis(most + "a").pieces.size(), 1U);
  EXPECT_NE(refused([&] { read_emphasis(most + "[a"); }).find("more than 256 brackets are open"),
            std::string::npos);
  std::string pairs;
  for (int i = 0; i < 20'000; ++i) pairs += "(a)";
  EXPECT_EQ(read_emphasis(pairs).pieces.size(), 1U);
  std::string colons(60'000, ':');
  EXPECT_EQ(read_emphasis(colons).pieces.front().text, colons);
}

TEST(Schedules, AreReadAsTheReferenceReadsThem) {
  ASSERT_GT(cases()["schedules"].size(), 300U);
  for (const json& one : cases()["schedules"]) {
    const std::string text = one["text"];
    const PromptSchedule schedule = read_schedule(text, one["steps"]);
    ASSERT_EQ(schedule.texts.size(), one["texts"].size()) << text;
    for (size_t i = 0; i < schedule.texts.size(); ++i) {
      EXPECT_EQ(schedule.texts[i].last, one["texts"][i][0]) << text;
      EXPECT_EQ(schedule.texts[i].text, one["texts"][i][1]) << text;
    }
  }
}

TEST(Schedules, SayThatAStrayBarUndoesThem) {
  EXPECT_EQ(read_schedule("a | b", 10).ignored, Lines{});
  EXPECT_EQ(read_schedule("[a:b:3]", 10).ignored, Lines{});
  EXPECT_EQ(read_schedule("a | [b:3]", 10).ignored.size(), 1U);
}

TEST(Schedules, HaveLimits) {
  const std::string deep(kMostBrackets + 1, '[');
  EXPECT_NE(refused([&] { read_schedule(deep, 10); }).find("brackets are open"), std::string::npos);
  // Two lists of 16 and 17 make 272 texts.
  std::string first = "[0";
  std::string second = "[0";
  for (int i = 1; i < 16; ++i) first += "|" + std::to_string(i);
  for (int i = 1; i < 17; ++i) second += "|" + std::to_string(i);
  EXPECT_EQ(read_schedule(first + "]", 1000).texts.size(), 1000U);
  EXPECT_NE(refused([&] { read_schedule(first + "] " + second + "]", 1000); }).find("more than 256 texts"),
            std::string::npos);
}

TEST(Parts, AreReadAsTheReferenceReadsThem) {
  for (const json& one : cases()["parts"]) {
    const std::string text = one["text"];
    const std::vector<PromptPart> parts = read_parts(text);
    ASSERT_EQ(parts.size(), one["parts"].size()) << text;
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(parts[i].text, one["parts"][i][0]) << text;
      EXPECT_DOUBLE_EQ(parts[i].weight, one["parts"][i][1].get<double>()) << text;
    }
  }
  std::string many = "a";
  for (size_t i = 1; i < kMostParts; ++i) many += " AND a";
  EXPECT_EQ(read_parts(many).size(), kMostParts);
  EXPECT_NE(refused([&] { read_parts(many + " AND a"); }).find("more than 32 parts"), std::string::npos);
  EXPECT_EQ(count_parts(many + " AND a", Compat::kA1111), 1U);
  EXPECT_EQ(count_parts("a AND b", Compat::kA1111), 2U);
  EXPECT_EQ(count_parts("a AND b", Compat::kSdCpp), 1U);
  EXPECT_EQ(count_parts("a AND b\xff", Compat::kA1111), 1U);
}

TEST(Plans, SayWhichTextIsReadInWhichStep) {
  const PromptPlan plan =
      plan_prompt("[a:b:2] AND c :0.5 AND [a:b:2]", Compat::kA1111, 4, PromptRole::kPrompt);
  ASSERT_EQ(plan.parts.size(), 3U);
  EXPECT_EQ(plan.parts[1].weight, 0.5);
  // Up to the step 2, counted from 0, as A1111 does it.
  Lines read;
  for (int64_t step = 0; step < 4; ++step) read.push_back(plan.texts[plan.parts[0].text_in(step)]);
  EXPECT_EQ(read, (Lines{"a", "a", "a", "b"}));
  EXPECT_EQ(plan.texts, (Lines{"a", "b", " c", " a", " b"}));
  for (const Compat compat : {Compat::kSdCpp, Compat::kDiffusers}) {
    const PromptPlan plain = plan_prompt("[a:b:2] AND c", compat, 4, PromptRole::kPrompt);
    EXPECT_EQ(plain.texts, Lines{"[a:b:2] AND c"});
  }
  EXPECT_EQ(plan_prompt("a AND b", Compat::kA1111, 4, PromptRole::kNegative).texts, Lines{"a AND b"});
  EXPECT_NE(refused([] { plan_prompt("\xff", Compat::kA1111, 4, PromptRole::kPrompt); }).find("UTF-8"),
            std::string::npos);
}

TEST(Windows, AreThoseOfTheReference) {
  std::map<std::string, Tokenizer> tokenizers;
  ASSERT_GT(cases()["windows"].size(), 100U);
  for (const json& one : cases()["windows"]) {
    const std::string model = one["model"];
    const std::string text = one["text"];
    if (!tokenizers.contains(model))
      tokenizers.emplace(model, Tokenizer::open(kReference / model / "tokenizer"));
    const TokenChunks windows =
        chunk_text(tokenizers.at(model), text, compat_from_name(one["compat"].get<std::string>()));
    const std::string what = model + " " + one["compat"].get<std::string>() + ": " + text;
    ASSERT_EQ(windows.chunks.size(), one["ids"].size()) << what;
    for (size_t i = 0; i < windows.chunks.size(); ++i) {
      EXPECT_EQ(json(windows.chunks[i].ids), one["ids"][i]) << what;
      EXPECT_EQ(json(windows.chunks[i].weights), one["weights"][i]) << what;
    }
    EXPECT_EQ(windows.cut.size(), one["cut"].get<size_t>()) << what;
  }
}

TEST(Windows, OfPlainWordsAreThoseWithoutALanguage) {
  const Tokenizer tokenizer = Tokenizer::open(kReference / "sd1/tokenizer");
  for (const std::string text : {"", "a red fox", "16:9, a cat's eyes!", "a fox in snow, detail"}) {
    for (const Compat compat : {Compat::kA1111, Compat::kSdCpp, Compat::kDiffusers}) {
      const TokenChunks windows = chunk_text(tokenizer, text, compat);
      const Tokenizer::Padded padded = tokenizer.encode_padded(text);
      ASSERT_EQ(padded.cut, 0) << text;
      ASSERT_EQ(windows.chunks.size(), 1U) << text;
      EXPECT_EQ(window_ids(tokenizer, windows.chunks[0]), padded.ids) << text;
      EXPECT_EQ(window_weights(tokenizer, windows.chunks[0]), std::vector<float>(13, 1)) << text;
    }
  }
}

TEST(Windows, AreLimited) {
  const Tokenizer tokenizer = Tokenizer::open(kReference / "sd1/tokenizer");
  const std::string most(kMostChunks * 11, '1');
  TokenChunks windows = chunk_text(tokenizer, most, Compat::kA1111);
  EXPECT_EQ(windows.chunks.size(), kMostChunks);
  EXPECT_TRUE(windows.cut.empty());
  windows = chunk_text(tokenizer, most + "23", Compat::kA1111);
  EXPECT_EQ(windows.chunks.size(), kMostChunks);
  EXPECT_EQ(windows.cut, tokenizer.encode("2 3"));
  // Where the last window ends at a comma, what stood behind it is cut with the rest.
  windows = chunk_text(tokenizer, most.substr(2) + ",23", Compat::kA1111);
  EXPECT_EQ(windows.chunks.size(), kMostChunks);
  EXPECT_EQ(windows.cut, tokenizer.encode("2 3"));
  std::string breaks;
  for (int i = 0; i < 2000; ++i) breaks += "BREAK ";
  EXPECT_EQ(chunk_text(tokenizer, breaks, Compat::kA1111).chunks.size(), kMostChunks);
  EXPECT_EQ(chunk_text(tokenizer, breaks, Compat::kSdCpp).chunks.size(), 1U);
}

std::string chosen(const std::string& text, uint64_t seed, const Wildcards& wildcards = {}) {
  return choose_text(text, seed, 0, wildcards).text;
}

TEST(Choices, AreFixedForEver) {
  Lines texts;
  for (uint64_t seed = 0; seed < 8; ++seed) texts.push_back(chosen("{a|b|c}{d|e}", seed));
  // A picture's seed must choose the same in every version. From SplitMix64 in Python.
  EXPECT_EQ(texts, (Lines{"be", "ae", "ce", "cd", "ae", "ae", "bd", "bd"}));
}

TEST(Choices, GiveEveryOptionByItsWeight) {
  std::map<std::string, int> counts;
  for (uint64_t seed = 0; seed < 4000; ++seed) ++counts[chosen("{a|3::b|0::c|{d|e}}", seed)];
  EXPECT_EQ(counts.size(), 4U);
  EXPECT_NEAR(counts["a"], 800, 120);
  EXPECT_NEAR(counts["b"], 2400, 150);
  EXPECT_NEAR(counts["d"], 400, 90);
  EXPECT_NEAR(counts["e"], 400, 90);
  std::set<std::string> of_nothing;
  for (uint64_t seed = 0; seed < 50; ++seed) of_nothing.insert(chosen("{0::a|0::b}", seed));
  EXPECT_EQ(of_nothing.size(), 2U);
}

TEST(Choices, OfSeveralAreFixedForEver) {
  Lines two;
  Lines some;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    two.push_back(chosen("{2$$a|b|c}", seed));
    some.push_back(chosen("{1-3$$ and $$a|2::b|c}", seed));
  }
  // From SplitMix64 in Python, as above.
  EXPECT_EQ(two, (Lines{"b, c", "a, c", "c, b", "c, a", "a, c", "a, c", "b, a", "b, a"}));
  EXPECT_EQ(some, (Lines{"b and a", "c", "c and a and b", "b and c and a", "c", "b", "a and b", "a and b"}));
}

TEST(Choices, OfSeveralHaveBounds) {
  struct Row {
    const char* text;
    std::set<std::string> choices;
  };
  for (const Row& row :
       {Row{"{2$$a|b}", {"a, b", "b, a"}}, Row{"{4$$a|b}", {"a, b", "b, a"}},
        Row{"{99999999999999999999$$a|b}", {"a, b", "b, a"}}, Row{"{-2$$a|b}", {"a", "b", "a, b", "b, a"}},
        Row{"{1-$$+$$a|b}", {"a", "b", "a+b", "b+a"}}, Row{"{2-1$$a|b}", {"a", "b", "a, b", "b, a"}},
        Row{"x{0$$a|b}y", {"xy"}}, Row{"{0-1$$a|b}", {"", "a", "b"}}, Row{"{2$$a}", {"a"}},
        Row{"{2$$$$a|b}", {"ab", "ba"}}, Row{"{1$$0::a|b}", {"b"}}, Row{"{2$$0::a|b|c}", {"b, c", "c, b"}},
        Row{"{2$$ $$3::a|{b|c}}", {"a b", "a c", "b a", "c a"}}, Row{"{{2$$a|b}|0::c}", {"a, b", "b, a"}},
        Row{"{2$a|0::b}", {"2$a"}}, Row{"{$$a|0::b}", {"$$a"}}, Row{"{1-2-3$$a|0::b}", {"1-2-3$$a"}}}) {
    std::set<std::string> choices;
    for (uint64_t seed = 0; seed < 100; ++seed) choices.insert(chosen(row.text, seed));
    EXPECT_EQ(choices, row.choices) << row.text;
  }
}

TEST(Choices, OfTheTwoPromptsAreTheirOwn) {
  int same = 0;
  for (uint64_t seed = 0; seed < 400; ++seed)
    same += choose_text("{a|b}", seed, 0, {}).text == choose_text("{a|b}", seed, 1, {}).text ? 1 : 0;
  EXPECT_NEAR(same, 200, 60);
}

TEST(Choices, LeaveWhatIsNoListAlone) {
  for (const std::string text :
       {"a fox", "{a}", "{{a}}", "{a", "a}", "}{", "\\{a|b\\}", "{\\|}", "a | b", "{[a|b]}", "__", "____",
        "_______", "___a__", "__a b__", "a__b", "snake_case"})
    EXPECT_EQ(chosen(text, 1), text);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::string text = chosen("{[a|b]|{c}}", seed);
    EXPECT_TRUE(text == "[a|b]" || text == "{c}") << text;
    const std::string letter = chosen("{[a|b}", seed);
    EXPECT_TRUE(letter == "[a" || letter == "b") << letter;
    const std::string empty = chosen("{|x|}", seed);
    EXPECT_TRUE(empty.empty() || empty == "x") << empty;
    const std::string time = chosen("{2:a|2::a}", seed);
    EXPECT_TRUE(time == "2:a" || time == "a") << time;
  }
}

TEST(Choices, HaveLimits) {
  std::string deep = "a";
  for (int i = 0; i < 32; ++i) deep = "{" + deep + "|0::z}";
  EXPECT_EQ(chosen(deep, 1), "a");
  EXPECT_NE(refused([&] { chosen("{" + deep + "|0::z}", 1); }).find("nested deeper than 32"),
            std::string::npos);
  for (const char letter : {'{', '_', 'a', '|', '['})
    EXPECT_EQ(chosen(std::string(60'000, letter), 1).size(), 60'000U) << letter;
  std::string long_list = "{1-$$";
  for (int i = 0; i < 1001; ++i) long_list += "a|";
  EXPECT_NE(refused([&] { chosen(long_list + "}", 1); }).find("more than 1000 of one list"),
            std::string::npos);
  const Lines self{"__a__"};
  const Lines twice{"__b__ __b__"};
  const Lines end{std::string(2000, 'x')};
  EXPECT_NE(refused([&] { chosen("__a__", 1, [&](const auto&) { return &self; }); }).find("nested deeper"),
            std::string::npos);
  // Lines that say nothing, but name the next one twelve times: twelve to the tenth power of them.
  std::map<std::string, Lines> files{{"w10", {"{|}"}}};
  for (int i = 0; i < 10; ++i) {
    std::string line;
    for (int times = 0; times < 12; ++times) line += "__w" + std::to_string(i + 1) + "__";
    files["w" + std::to_string(i)] = {line};
  }
  const auto next = [&](const std::string& name) { return &files.at(name); };
  EXPECT_NE(refused([&] { chosen("__w0__", 1, next); }).find("more than 10000 choices"), std::string::npos);
  std::string many;
  for (int i = 0; i < 40; ++i) many += "__e__";
  EXPECT_NE(refused([&] { chosen(many, 1, [&](const auto&) { return &end; }); }).find("longer than 65536"),
            std::string::npos);
}

class WildcardDirectory : public TemporaryDirectory {
 protected:
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name) << text;
  }
};

TEST_F(WildcardDirectory, LinesAreChosenAndReadFurther) {
  write("colour.txt", "\xef\xbb\xbf# a list\r\n\r\n  red \r\nblue\n");
  write("deep/thing.txt", "a __colour__ {ball|cube}");
  const Wildcards wildcards = wildcards_in(directory_);
  std::set<std::string> texts;
  for (uint64_t seed = 0; seed < 60; ++seed) texts.insert(chosen("x __deep/thing__", seed, wildcards));
  EXPECT_EQ(texts, (std::set<std::string>{"x a red ball", "x a red cube", "x a blue ball", "x a blue cube"}));
  EXPECT_EQ(chosen("x __deep/thing__", 5, wildcards),
            chosen("x __deep/thing__", 5, wildcards_in(directory_)));
  const ChosenText none = choose_text("__colour__", 1, 0, {});
  EXPECT_EQ(none.text, "__colour__");
  EXPECT_EQ(none.unknown, Lines{"colour"});
}

TEST_F(WildcardDirectory, SeveralLinesOfOneFileAreDifferent) {
  write("colour.txt", "red\n0::green\n{blue|navy}\n");
  const Wildcards wildcards = wildcards_in(directory_);
  const auto choices = [&](const std::string& text) {
    std::set<std::string> all;
    for (uint64_t seed = 0; seed < 60; ++seed) all.insert(chosen(text, seed, wildcards));
    return all;
  };
  EXPECT_EQ(choices("{2$$+$$__colour__}"),
            (std::set<std::string>{"red+blue", "red+navy", "blue+red", "navy+red"}));
  EXPECT_TRUE(choices("{2$$+$$__colour__|__colour__}").contains("red+red"));
  EXPECT_EQ(choices("{1$$a __colour__}"), (std::set<std::string>{"a red", "a blue", "a navy"}));
  const ChosenText none = choose_text("{2$$__colour__}", 1, 0, {});
  EXPECT_EQ(none.text, "__colour__");
  EXPECT_EQ(none.unknown, Lines{"colour"});
}

TEST_F(WildcardDirectory, NothingOutsideIsRead) {
  fs::create_directories(directory_ / "in");
  write("secret.txt", "secret");
  write("in/good.txt", "good");
  write("in/empty.txt", "# nothing\n\n");
  write("in/bad.txt", "\xff\n");
  fs::create_symlink(directory_ / "secret.txt", directory_ / "in/link.txt");
  fs::create_symlink(directory_ / "in/good.txt", directory_ / "in/alias.txt");
  fs::create_directory(directory_ / "in/folder.txt");
  WildcardFiles files(directory_ / "in");
  EXPECT_EQ(files.lines("good"), Lines{"good"});
  EXPECT_EQ(files.lines("alias"), Lines{"good"});
  for (const std::string name :
       {"../secret", "a/../../secret", "./good", "/etc/passwd", "a//b", "", ".", ".."})
    EXPECT_NE(refused([&] { files.lines(name); }).find("__" + name + "__"), std::string::npos) << name;
  EXPECT_NE(refused([&] { files.lines("link"); }).find("leads out of"), std::string::npos);
  EXPECT_NE(refused([&] { files.lines("none"); }).find("there is no"), std::string::npos);
  EXPECT_NE(refused([&] { files.lines("empty"); }).find("has no choices"), std::string::npos);
  EXPECT_NE(refused([&] { files.lines("bad"); }).find("UTF-8"), std::string::npos);
  refused([&] { files.lines("folder"); });
  refused([&] { WildcardFiles(directory_ / "none"); });
  refused([&] { WildcardFiles(directory_ / "secret.txt"); });
}

TEST(TokenizeReports, ShowWeightsWindowsAndTexts) {
  const std::vector<Tokenizer> towers{Tokenizer::open(kReference / "sdxl/tokenizer"),
                                      Tokenizer::open(kReference / "sdxl/tokenizer_2")};
  const TokenizeReport one =
      tokenize_report(towers, "a (red:1.5) fox BREAK snow )", {.compat = Compat::kA1111});
  const json shown = json::parse(one.json);
  EXPECT_EQ(shown["chunks"], 2);
  EXPECT_EQ(shown["ids"].size(), 26U);
  EXPECT_EQ(shown["ids_2"].size(), 26U);
  EXPECT_NE(shown["ids"], shown["ids_2"]);
  EXPECT_EQ(shown["tokens"][0]["weight"], 1.0);
  EXPECT_EQ(shown["tokens"][1]["weight"], 1.5);
  EXPECT_EQ(shown["tokens"].back()["chunk"], 1);
  EXPECT_EQ(shown["cut"]["tokens"], 0);
  EXPECT_EQ(shown["ignored"], json(one.unread));
  EXPECT_EQ(one.unread, Lines{"\")\" closes nothing"});
  EXPECT_FALSE(shown.contains("texts"));

  const json walk =
      json::parse(tokenize_report(towers, "[a:b:2] AND c :0.5", {.compat = Compat::kA1111, .steps = 5}).json);
  ASSERT_EQ(walk["texts"].size(), 3U);
  EXPECT_EQ(walk["texts"][0]["last_step"], 2);
  EXPECT_EQ(walk["texts"][1]["first_step"], 3);
  EXPECT_EQ(walk["texts"][1]["last_step"], 4);
  EXPECT_EQ(walk["texts"][1]["text"], "b");
  EXPECT_EQ(walk["texts"][2]["part_weight"], 0.5);

  const TokenizeReport cut = tokenize_report(towers, std::string(30, '1'), {.compat = Compat::kDiffusers});
  EXPECT_EQ(cut.tokens_cut, 19);
  EXPECT_EQ(json::parse(cut.json)["cut"]["tokens"], 19);
}

/// Texts of the letters that mean something: nothing may crash, hang or lose a letter without brackets.
TEST(HostilePrompts, NeverCrash) {
  const Tokenizer tokenizer = Tokenizer::open(kReference / "sd1/tokenizer");
  const Lines parts = {
      "(",   ")", "[", "]",  "{", "}", "|",      ":", "::",    "$$",  "__", "\\",    "BREAK",
      "AND", " ", "1", ".5", "a", "é", "\u3000", "-", ":1.3)", ":3]", "\n", "__a__", "{a|b}"};
  uint64_t state = 7;
  const auto next = [&state] { return (state = state * 6364136223846793005U + 1442695040888963407U) >> 33; };
  const Lines lines{"x", "{a|__b__}", "]"};
  int refusals = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (uint64_t n = next() % 24; n > 0; --n) text += parts[next() % parts.size()];
    try {
      const ChosenText made = choose_text(text, next(), 0, [&](const auto&) { return &lines; });
      const PromptPlan plan =
          plan_prompt(made.text, Compat::kA1111, 1 + static_cast<int64_t>(next() % 20), PromptRole::kPrompt);
      for (const std::string& one : plan.texts) chunk_text(tokenizer, one, Compat::kA1111);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ExitCode::kInputInvalid) << text;
      ++refusals;
    }
  }
  EXPECT_LT(refusals, 2000);
}

}  // namespace
}  // namespace brume
