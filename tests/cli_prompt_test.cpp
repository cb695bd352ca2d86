#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <span>

#include "brume/image/png.h"
#include "cli_batch_fixture.h"

// The prompt language from outside: what is chosen, cut, refused and written down.
namespace brume::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Picture decode(const std::string& png) { return decode_png(std::as_bytes(std::span(png)), "picture"); }

TEST_F(CommandLine, ASeedChoosesTheSameWhateverItsNeighbours) {
  const Words words{"-p", "a {red|blue|green} fox", "-n", "{rain|fog}", "--cfg-scale", "3"};
  const auto with = [&](Words more) {
    more.insert(more.begin(), words.begin(), words.end());
    return generate(more);
  };
  const Outcome many = with({"-s", "5", "-b", "6", "--batch-size", "4", "-o", "many_%d.png", "--json"});
  ASSERT_EQ(many.code, 0) << many.err;
  const json report = json::parse(many.out);
  EXPECT_EQ(report["prompt"], "a {red|blue|green} fox");
  std::set<std::string> chosen;
  for (int k = 0; k < 6; ++k) {
    const json recipe = recipe_of("many_" + std::to_string(k + 1) + ".png");
    EXPECT_EQ(recipe["prompt"], "a {red|blue|green} fox");
    EXPECT_EQ(recipe["negative_prompt"], "{rain|fog}");
    EXPECT_EQ(recipe["chosen_prompt"], report["pictures"][static_cast<size_t>(k)]["chosen_prompt"]);
    chosen.insert(recipe["chosen_prompt"].get<std::string>());
    EXPECT_EQ(with({"-s", std::to_string(5 + k), "-o", "one.png"}).code, 0);
    EXPECT_EQ(recipe_of("one.png"), recipe);
    // The same words typed out draw the same picture.
    EXPECT_EQ(generate({"-p", recipe["chosen_prompt"], "-n", recipe["chosen_negative_prompt"], "--cfg-scale",
                        "3", "-s", std::to_string(5 + k), "-o", "plain.png"})
                  .code,
              0);
    EXPECT_EQ(decode(bytes_of("one.png")).pixels, decode(bytes_of("plain.png")).pixels);
    EXPECT_FALSE(recipe_of("plain.png").contains("chosen_prompt"));
  }
  EXPECT_GT(chosen.size(), 1U);
}

TEST_F(CommandLine, WildcardsComeFromTheirDirectory) {
  fs::create_directory(directory_ / "w");
  std::ofstream(directory_ / "w/colour.txt") << "red\n";
  ASSERT_EQ(generate({"-p", "a __colour__ fox", "--wildcards", "w", "-o", "x.png"}).code, 0);
  EXPECT_EQ(recipe_of("x.png")["chosen_prompt"], "a red fox");
  expect_error(generate({"-p", "__none__", "--wildcards", "w"}), 4, {"prompt: __none__", "none.txt"});
  expect_error(generate({"-p", "__../w/colour__", "--wildcards", "w"}), 4, {"does not name a file"});
  expect_error(generate({"--wildcards", "none"}), 4, {"--wildcards none", "is no directory"});
  expect_error(generate({"--wildcards", "w", "--compat", "sdcpp"}), 2, {"--wildcards", "sdcpp has none"});
  const Outcome without = generate({"-p", "__colour__", "-o", "x.png"});
  EXPECT_EQ(without.code, 0);
  EXPECT_NE(without.err.find("note: __colour__ stands for itself"), std::string::npos) << without.err;
  expect_error(generate({"-p", "__colour__", "--strict"}), 4, {"__colour__", "no wildcards", "--strict"});
}

TEST_F(CommandLine, StrictRefusesWhatIsCutOrIgnored) {
  std::string words;
  for (int i = 0; i < 400; ++i) words += "fox ";
  for (const Words& more :
       {Words{"-p", words}, Words{"-p", "a fox in the snow and so on", "--compat", "diffusers"}}) {
    Words strict = more;
    strict.emplace_back("--strict");
    expect_error(generate(strict), 4, {"prompt: too long", "tokens are not seen", "--strict"});
    Words told = more;
    told.insert(told.end(), {"-o", "x.png"});
    const Outcome outcome = generate(told);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_NE(outcome.err.find("note: the prompt is too long for this model; its last"), std::string::npos);
  }
  expect_error(generate({"-p", "a (fox", "--strict"}), 4, {"\"(fox\" is never closed"});
  expect_error(generate({"-n", "a ]", "--cfg-scale", "3", "--strict"}), 4,
               {"negative prompt", "closes nothing"});
  EXPECT_NE(generate({"-p", "a (fox", "-o", "x.png"}).err.find("note: prompt: \"(fox\" is never closed"),
            std::string::npos);
  EXPECT_EQ(generate({"-p", "a (fox:1.2), [snow:2]", "--strict", "-o", "x.png"}).code, 0);
  expect_error(generate({"-p", std::string(300, '(')}), 4, {"prompt: more than 256 brackets"});
}

TEST_F(CommandLine, CompatReadsPromptsAndCountsLayers) {
  const auto pixels = [&](const Words& more) {
    Words words = more;
    words.insert(words.end(), {"--rng", "cpu", "--cfg-scale", "4", "-n", "fog", "-o", "x.png"});
    const Outcome outcome = generate(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return decode(bytes_of("x.png")).pixels;
  };
  const auto plain = pixels({"-p", "a fox"});
  EXPECT_EQ(recipe_of("x.png")["compat"], "a1111");
  for (const std::string compat : {"diffusers", "sdcpp"})
    EXPECT_EQ(pixels({"-p", "a fox", "--compat", compat}), plain) << compat;
  EXPECT_EQ(recipe_of("x.png")["compat"], "sdcpp");
  const auto weighted = pixels({"-p", "a (fox:1.5)"});
  EXPECT_NE(weighted, plain);
  EXPECT_EQ(pixels({"-p", "a (fox:1.5)", "--compat", "sdcpp"}), weighted);  // one tower: one mean
  EXPECT_NE(pixels({"-p", "a (fox:1.5)", "--compat", "diffusers"}), weighted);
  EXPECT_NE(pixels({"-p", "a fox AND snow"}), pixels({"-p", "a fox AND snow", "--compat", "sdcpp"}));
  // diffusers counts the layers skipped, and skips none of the negative prompt.
  EXPECT_NE(pixels({"-p", "a fox", "--clip-skip", "2"}), plain);
  EXPECT_EQ(recipe_of("x.png")["clip_skip"], 2);
  EXPECT_NE(pixels({"-p", "a fox", "--clip-skip", "1", "--compat", "diffusers"}), plain);
  EXPECT_EQ(recipe_of("x.png")["clip_skip"], 2);
  expect_error(generate({"--compat", "comfy"}), 2, {"--compat", "comfy", "a1111"});
}

TEST_F(CommandLine, LayersOfXlAreCountedAsEachProgramDoes) {
  const auto pixels = [&](const Words& more) {
    Words words = generate_words(more, model("sdxl"));
    words.insert(words.end(), {"--rng", "cpu", "-o", "x.png"});
    const Outcome outcome = brume(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return decode(bytes_of("x.png")).pixels;
  };
  const auto plain = pixels({});
  EXPECT_EQ(pixels({"--clip-skip", "2"}), plain);
  EXPECT_EQ(pixels({"--clip-skip", "2", "--compat", "sdcpp"}), plain);
  const auto last = pixels({"--clip-skip", "1", "--compat", "sdcpp"});
  const auto deeper = pixels({"--clip-skip", "1", "--compat", "diffusers"});
  EXPECT_NE(last, plain);
  EXPECT_NE(deeper, plain);
  EXPECT_NE(deeper, last);
  EXPECT_EQ(pixels({"--clip-skip", "3", "--compat", "sdcpp"}), deeper);
  Words words = generate_words({"--clip-skip", "2", "-o", "x.png"}, model("sdxl"));
  EXPECT_NE(brume(words).err.find("note: A1111 skips no layer of this model"), std::string::npos);
  words.emplace_back("--strict");
  expect_error(brume(words), 4, {"--clip-skip 2", "A1111 skips no layer"});
}

TEST_F(CommandLine, TokenizeShowsWindowsAndFailsWhereStrict) {
  const auto tokenize = [&](const Words& more) {
    Words words{"tokenize", "-m", model("sd1").string()};
    words.insert(words.end(), more.begin(), more.end());
    return brume(words);
  };
  const std::string long_text = "the castle on the hill, (with:1.5) light and water and a cat";
  const Outcome read = tokenize({long_text, "--strict"});
  ASSERT_EQ(read.code, 0) << read.err;
  const json report = json::parse(read.out);
  EXPECT_EQ(report["chunks"], 2);
  EXPECT_EQ(report["ids"].size(), 26U);
  EXPECT_EQ(report["cut"]["tokens"], 0);
  const Outcome cut = tokenize({long_text, "--strict", "--compat", "diffusers"});
  EXPECT_EQ(cut.code, 4);
  EXPECT_GT(json::parse(cut.out)["cut"]["tokens"], 0);
  EXPECT_NE(cut.err.find("text: too long for this model"), std::string::npos) << cut.err;
  EXPECT_EQ(tokenize({"a (fox", "--strict"}).code, 4);
  EXPECT_EQ(tokenize({"a (fox"}).code, 0);
  EXPECT_EQ(json::parse(tokenize({"{a|a} fox", "-s", "3"}).out)["chosen_text"], "a fox");
  EXPECT_EQ(json::parse(tokenize({"[a:b:0.5]", "--steps", "10"}).out)["texts"][0]["last_step"], 5);
  const json tagged = json::parse(tokenize({"a <lora:ink:0.8>fox"}).out);
  EXPECT_EQ(tagged["ids"], json::parse(tokenize({"a fox"}).out)["ids"]);
  EXPECT_EQ(tagged["adapters"], "<lora:ink:0.8>");
  EXPECT_EQ(tokenize({"a <lora:ink"}).code, 4);
  expect_error(tokenize({"{<lora:a:1>|<lora:b:0.5>} fox"}), 4, {"<lora:...> in a choice"});
  EXPECT_EQ(json::parse(tokenize({"{a|a} <lora:ink:0.8>fox"}).out)["adapters"], "<lora:ink:0.8>");
  const std::string huge = "a (fox:" + std::string(40, '9') + ")";
  EXPECT_EQ(tokenize({huge}).code, 0);
  expect_error(tokenize({huge, "--strict"}), 4, {"is no weight"});
  Words xl{"tokenize", "-m", model("sdxl").string(), "a fox"};
  EXPECT_TRUE(json::parse(brume(xl).out).contains("ids_2"));
}

TEST_F(BatchCommand, JobsHaveTheLanguageToo) {
  fs::create_directory(directory_ / "w");
  std::ofstream(directory_ / "w/place.txt") << "snow\n";
  write_jobs(
      "a {red|blue} fox in __place__\n"
      "a (fox:1.3) --compat diffusers\n"
      "--prompt \"a (fox\" --strict\n"
      "{\"prompt\": \"a fox AND snow :0.5\", \"seed\": 3}\n"
      "a __none__\n"
      "a fox --compat comfy\n"
      "a [fox:hen:1], " +
      std::string(60, '1') + "\n");
  const Outcome outcome = batch({"--wildcards", "w", "--deterministic"});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_EQ(lines_in(bytes_of("out/failed.jsonl")), 3U) << bytes_of("out/failed.jsonl");
  for (const char* part :
       {"line 3", "\"(fox\" is never closed", "line 5", "none.txt", "line 6", "--compat comfy"})
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n" << outcome.err;
  const Pictures drawn = pictures();
  ASSERT_EQ(drawn.size(), 4U);
  const json first = recipe_of("out/" + drawn.begin()->first);
  EXPECT_EQ(first["prompt"], "a {red|blue} fox in __place__");
  EXPECT_TRUE(first["chosen_prompt"].get<std::string>().ends_with(" fox in snow"));
  // Other lines of the wildcard are other pictures, the same ones are not drawn again.
  EXPECT_EQ(summary({"--wildcards", "w", "--deterministic"})["drawn"], 0);
  std::ofstream(directory_ / "w/place.txt") << "rain\n";
  batch({"--wildcards", "w", "--deterministic"});
  EXPECT_EQ(pictures().size(), 5U);
  // Workers read prompts as this process does.
  fs::create_directory(directory_ / "by_workers");
  batch({"--wildcards", "w", "--deterministic", "--devices", "cpu:2"}, "by_workers");
  const Pictures by_workers = pictures_by_key("by_workers");
  EXPECT_EQ(by_workers.size(), 4U);
  const Pictures by_one = pictures_by_key();
  for (const auto& [key, bytes] : by_workers) EXPECT_EQ(by_one.at(key), bytes);
}

TEST_F(BatchCommand, WhatIsIgnoredIsTold) {
  write_jobs("a (fox\n__x__\n");
  const Outcome outcome = batch();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.err.find("line 1: prompt: \"(fox\" is never closed"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("line 2: __x__ stands for itself"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace brume::testing
