#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "brume/base/digest.h"
#include "brume/image/png.h"
#include "brume/image/recipe.h"
#include "cli_batch_fixture.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

/// Adapters of the reference cases in a directory loras/, where the program runs: "ink" and "snow".
class LoraCommand : public BatchCommand {
 protected:
  void SetUp() override {
    BatchCommand::SetUp();
    fs::create_directory(directory_ / "loras");
    copy("sd1_kohya", "ink");
    copy("sd1_lokr", "snow");
  }

  void copy(const std::string& of, const std::string& name) const {
    fs::copy_file(fs::path(BRUME_TEST_DATA) / "reference/adapters" / of / "adapter_0.safetensors",
                  directory_ / "loras" / (name + ".safetensors"));
  }

  std::string hash_of(const std::string& name) const {
    const fs::path file = directory_ / "loras" / (name + ".safetensors");
    return hex_digits(sha256_of_file(file, ExitCode::kModelInvalid));
  }
  void draw(const std::string& to, const Words& more) const {
    Words all{"-o", to};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = generate(all);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
};

TEST_F(LoraCommand, ByOptionAndByPromptIsTheSamePicture) {
  draw("plain.png", {});
  draw("option.png", {"--lora", "loras/ink.safetensors:0.8", "--lora", "loras/snow.safetensors"});
  draw("tags.png", {"-p", "a <lora:ink:0.8>fox<lora:snow:1>", "--lora-model-dir", "loras"});
  draw("both.png",
       {"-p", "a fox<lora:snow:1>", "--lora-model-dir", "loras", "--lora", "loras/ink.safetensors:0.8"});
  draw("weaker.png", {"--lora", "loras/ink.safetensors:0.4", "--lora", "loras/snow.safetensors"});
  EXPECT_EQ(pixels("option.png"), pixels("tags.png"));
  EXPECT_EQ(pixels("option.png"), pixels("both.png"));
  EXPECT_NE(pixels("option.png"), pixels("plain.png"));
  EXPECT_NE(pixels("option.png"), pixels("weaker.png"));
}

TEST_F(LoraCommand, TheRecipeNamesThem) {
  draw("a.png",
       {"-p", "a fox <lora:ink:0.8:0.5>", "--lora-model-dir", "loras", "--lora", "loras/snow.safetensors"});
  const nlohmann::json recipe = recipe_of("a.png");
  EXPECT_EQ(recipe["prompt"], "a fox <lora:ink:0.8:0.5>");
  EXPECT_EQ(recipe["loras"], (Words{"snow:1", "ink:0.8:0.5"}));
  EXPECT_EQ(recipe["lora_hashes"], (Words{hash_of("snow"), hash_of("ink")}));
  const auto fields = parse_infotext(infotext_of("a.png"));
  const auto field = [&](const std::string& name) {
    const auto found =
        std::find_if(fields.begin(), fields.end(), [&](const auto& one) { return one.first == name; });
    return found == fields.end() ? "(none)" : found->second;
  };
  EXPECT_EQ(field("Prompt"), "a fox <lora:ink:0.8:0.5>");
  // What A1111 and sd-scripts call addnet's hash: of what follows the header.
  const std::string file = bytes_of("loras/ink.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, file.data(), sizeof header);
  const std::string hash =
      hex_digits(sha256(std::as_bytes(std::span(file)).subspan(8 + header))).substr(0, 12);
  EXPECT_NE(field("Lora hashes").find("ink: " + hash), std::string::npos) << field("Lora hashes");
  EXPECT_EQ(field("Lora weights"), "snow: 1, ink: 0.8:0.5");
  // A1111 believes the metadata, where training programs leave theirs.
  auto tensors = nlohmann::json::parse(file.substr(8, header));
  for (const auto& [said, shown] : {std::pair(std::string(64, 'c'), std::string(12, 'c')), {"short", hash}}) {
    tensors["__metadata__"]["sshs_model_hash"] = said;
    const std::string text = tensors.dump();
    const uint64_t length = text.size();
    std::ofstream(directory_ / "loras/ink.safetensors", std::ios::binary)
        << std::string(reinterpret_cast<const char*>(&length), sizeof length) << text
        << file.substr(8 + header);
    draw("said.png", {"-p", "a fox <lora:ink>", "--lora-model-dir", "loras"});
    EXPECT_NE(infotext_of("said.png").find("Lora hashes: \"ink: " + shown), std::string::npos)
        << infotext_of("said.png");
  }

  draw("plain.png", {});
  EXPECT_FALSE(recipe_of("plain.png").contains("loras"));
  EXPECT_EQ(infotext_of("plain.png").find("Lora"), std::string::npos);
}

TEST_F(LoraCommand, WhatFitsNothingIsANoteOrAnError) {
  copy("sd1_full", "odd");
  edit_weights(directory_ / "loras/odd.safetensors", [](EditedTensors& tensors) {
    tensors["lora_te2_text_model_encoder_layers_0_mlp_fc1.diff"] = {{1}, {1}};
  });
  const Outcome noted = generate({"--lora", "loras/odd.safetensors"});
  EXPECT_EQ(noted.code, 0) << noted.err;
  EXPECT_NE(noted.err.find("note: odd: 1 of "), std::string::npos) << noted.err;
  EXPECT_NE(noted.err.find("lora_te2_text_model_encoder_layers_0_mlp_fc1.diff"), std::string::npos)
      << noted.err;
  expect_error(generate({"--lora", "loras/odd.safetensors", "--strict"}), 3,
               {"loras/odd.safetensors", "lora_te2_"});
  EXPECT_EQ(generate({"--lora", "loras/ink.safetensors", "--strict"}).code, 0);
  // Of many the note names the first; -v tells each.
  edit_weights(directory_ / "loras/odd.safetensors", [](EditedTensors& tensors) {
    for (int i = 0; i < 9; ++i) tensors["stray_" + std::to_string(i)] = {{1}, {1}};
  });
  EXPECT_EQ(generate({"--lora", "loras/odd.safetensors"}).err.find("stray_8"), std::string::npos);
  const std::string all = generate({"--lora", "loras/odd.safetensors", "-v"}).err;
  for (int i = 0; i < 9; ++i)
    EXPECT_NE(all.find("note: odd: stray_" + std::to_string(i) + " fits nothing"), std::string::npos) << all;
}

TEST_F(LoraCommand, WrongUseIsOneLine) {
  expect_error(generate({"--lora", "nothing.safetensors"}), 3, {"nothing.safetensors"});
  expect_error(generate({"--lora", "loras/ink.safetensors:1:2:3"}), 2, {"--lora", "3"});
  expect_error(generate({"--lora", ""}), 2, {"--lora"});
  expect_error(generate({"--lora", "loras/ink.safetensors:1:lbw=1,2"}), 2, {"lbw=", "10"});
  expect_error(generate({"-p", "a <lora:ink:1>"}), 4, {"<lora:ink:1>", "--lora-model-dir"});
  expect_error(generate({"-p", "a <lora:absent:1>", "--lora-model-dir", "loras"}), 4, {"absent"});
  expect_error(generate({"-p", "a <lora:../loras/ink:1>", "--lora-model-dir", "loras"}), 4, {"../loras/ink"});
  expect_error(generate({"-p", "a <lora:ink:x>", "--lora-model-dir", "loras"}), 4, {"<lora:ink:x>"});
  expect_error(generate({"-n", "a <lora:ink:1>", "--lora-model-dir", "loras"}), 2, {"--negative-prompt"});
  expect_error(generate({"-m", model("sdxl").string(), "--lora", "loras/snow.safetensors"}), 3, {"snow"});
  expect_error(brume({"bench", "--arch", "tiny", "--lora", "loras/ink.safetensors"}), 2, {"--lora"});
  EXPECT_TRUE(names() == (Words{"loras", "out"})) << "a picture was drawn";
}

TEST_F(LoraCommand, BenchTakesThem) {
  const Outcome outcome = brume({"bench", "-m", model("sd1").string(), "-W", "64", "-H", "64", "--steps", "1",
                                 "--max-rounds", "1", "--lora", "loras/ink.safetensors", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  expect_error(brume({"bench", "-m", model("sd1").string(), "--lora", "loras/absent.safetensors"}), 3,
               {"absent"});
}

TEST_F(LoraCommand, ABatchDrawsWhatGenerateDraws) {
  write_jobs("a fox --d 5\n");
  const Words lora{"--lora", "loras/ink.safetensors:0.8", "--deterministic"};
  EXPECT_EQ(summary(lora)["drawn"], 1);
  draw("one.png", {"-s", "5", "--cfg-scale", "2", "--lora", "loras/ink.safetensors:0.8"});
  EXPECT_EQ(pixels("out/00001_5.png"), pixels("one.png"));
  EXPECT_EQ(recipe_of("out/00001_5.png")["loras"], Words{"ink:0.8"});
}

TEST_F(LoraCommand, TheKeyKnowsTheAdapters) {
  write_jobs("a fox --d 5\n");
  const Words lora{"--lora", "loras/ink.safetensors:0.8"};
  EXPECT_EQ(summary()["drawn"], 1);
  EXPECT_EQ(summary(lora)["drawn"], 1);
  EXPECT_EQ(summary(lora)["skipped"], 1);
  EXPECT_EQ(summary({"--lora", "loras/ink.safetensors:0.9"})["drawn"], 1);
  // The file's content, not its name.
  fs::rename(directory_ / "loras/ink.safetensors", directory_ / "loras/other.safetensors");
  EXPECT_EQ(summary({"--lora", "loras/other.safetensors:0.8"})["skipped"], 1);
  fs::copy_file(directory_ / "loras/snow.safetensors", directory_ / "loras/ink.safetensors");
  EXPECT_EQ(summary(lora)["drawn"], 1);
  EXPECT_EQ(pictures_by_key().size(), 4U);
}

TEST_F(LoraCommand, WorkersMergeThemToo) {
  write_jobs("a fox<lora:snow:1> --d 5\nan owl<lora:snow:1> --d 6\n");
  const Words more{"--lora", "loras/ink.safetensors:0.8", "--lora-model-dir", "loras", "--deterministic"};
  EXPECT_EQ(batch(more).code, 0);
  fs::create_directory(directory_ / "by_workers");
  Words by_workers = more;
  by_workers.insert(by_workers.end(), {"--devices", "cpu:2"});
  EXPECT_EQ(batch(by_workers, "by_workers").code, 0);
  ASSERT_EQ(pictures().size(), 2U);
  EXPECT_EQ(pictures_by_key("by_workers"), pictures_by_key());
}

size_t times_in(const std::string& text, const std::string& part) {
  size_t times = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

TEST_F(LoraCommand, TheJobsOfABatchMayNameDifferentOnes) {
  write_jobs(
      "a fox <lora:ink:0.8> --d 1\n"
      "an owl --d 2\n"
      "a hen <lora:ink:0.8><lora:snow:1> --d 3\n"
      "a cat<lora:ink:0.8> --d 4\n"
      "a cow <lora:broken --d 5\n"
      "a dog <lora:absent:1> --d 6\n"
      "an owl --d 2\n"
      "a cat<lora:ink:0.8> --d 4\n");
  const Words more{"--lora-model-dir", "loras", "--deterministic", "-v"};
  const Outcome outcome = batch(more);
  EXPECT_EQ(outcome.code, 1);
  // Those of one set of adapters are drawn together: the weights are merged three times.
  EXPECT_EQ(outcome.out, "out/00001_1.png\nout/00004_4.png\nout/00002_2.png\nout/00003_3.png\n");
  EXPECT_EQ(times_in(outcome.err, "loading "), 3U) << outcome.err;
  for (const char* said : {"line 5", "<lora:broken", "line 6", "<lora:absent>"})
    EXPECT_NE(outcome.err.find(said), std::string::npos) << said << "\n" << outcome.err;
  EXPECT_EQ(lines_in(bytes_of("out/failed.jsonl")), 2U);
  EXPECT_EQ(recipe_of("out/00003_3.png")["loras"], (Words{"ink:0.8", "snow:1"}));
  EXPECT_FALSE(recipe_of("out/00002_2.png").contains("loras"));

  const auto alone = [&](const Words& words) {
    Words all{"--cfg-scale", "2", "--lora-model-dir", "loras"};
    all.insert(all.end(), words.begin(), words.end());
    draw("one.png", all);
    std::vector<uint8_t> drawn = pixels("one.png");
    fs::remove(directory_ / "one.png");
    return drawn;
  };
  EXPECT_EQ(pixels("out/00001_1.png"), alone({"-p", "a fox <lora:ink:0.8>", "-s", "1"}));
  EXPECT_EQ(pixels("out/00002_2.png"), alone({"-p", "an owl", "-s", "2"}));
  EXPECT_EQ(pixels("out/00003_3.png"), alone({"-p", "a hen <lora:ink:0.8><lora:snow:1>", "-s", "3"}));

  EXPECT_EQ(summary(more)["skipped"], 6);
  fs::remove(directory_ / "out/00003_3.png");
  const nlohmann::json again = summary(more);
  EXPECT_EQ(again["drawn"], 1);
  EXPECT_EQ(again["skipped"], 5);

  fs::create_directory(directory_ / "by_workers");
  Words by_workers = more;
  by_workers.insert(by_workers.end(), {"--devices", "cpu:2"});
  EXPECT_EQ(batch(by_workers, "by_workers").code, 1);
  EXPECT_EQ(pictures_by_key("by_workers"), pictures_by_key());
}

TEST_F(LoraCommand, AnAdapterThatSpoilsTheWeightsFailsItsJobsAlone) {
  for (const auto& [name, value] : {std::pair("nan", std::numeric_limits<float>::quiet_NaN()),
                                    {"inf", std::numeric_limits<float>::infinity()}}) {
    copy("sd1_full", name);
    edit_weights(directory_ / ("loras/" + std::string(name) + ".safetensors"),
                 [value = value](EditedTensors& tensors) { tensors.begin()->second.values.front() = value; });
  }
  const std::string bytes = bytes_of("loras/ink.safetensors");
  std::ofstream(directory_ / "loras/torn.safetensors") << bytes.substr(0, bytes.size() / 2);
  write_jobs(
      "a fox <lora:nan:1> --d 1\nan owl --d 2\na hen <lora:nan:1> --d 3\na cat <lora:ink:1> --d 4\n"
      "a cow <lora:inf:1> --d 5\na dog <lora:torn:1> --d 6\n");
  std::multiset<std::string> here;
  for (const Words& more : {Words{}, Words{"--devices", "cpu:1,cpu:1"}}) {
    Words all{"--lora-model-dir", "loras", "--force"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = batch(all);
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_EQ(outcome.out, "out/00002_2.png\nout/00004_4.png\n");
    EXPECT_EQ(lines_in(bytes_of("out/failed.jsonl")), 4U);
    EXPECT_EQ(times_in(outcome.err, "not finite"), 3U) << outcome.err;
    // Workers change nothing of what is said but its order.
    std::multiset<std::string> told;
    std::istringstream lines(outcome.err);
    for (std::string line; std::getline(lines, line);) {
      const bool has_times = line.find(" pictures drawn in ") != std::string::npos ||
                             line.find("loaded in ") != std::string::npos;
      if (!has_times) told.insert(line);
    }
    if (here.empty()) here = told;
    EXPECT_EQ(told, here);
  }
}

/// A damaged model is no fault of the adapters: every job would fail of it.
TEST_F(LoraCommand, AModelThatIsDamagedEndsTheBatch) {
  const fs::path damaged = copy_of("sd1");
  edit_weights(damaged / "unet/diffusion_pytorch_model.safetensors",
               [](EditedTensors& tensors) { tensors.erase("conv_norm_out.weight"); });
  write_jobs("a fox <lora:ink:1> --d 1\na hen <lora:ink:1> --d 2\n");
  for (const Words& more : {Words{}, Words{"--devices", "cpu:2"}}) {
    Words all = words({"--lora-model-dir", "loras"});
    std::replace(all.begin(), all.end(), model("sd1").string(), damaged.string());
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = brume(all);
    EXPECT_EQ(outcome.code, 3) << outcome.err;
    EXPECT_EQ(times_in(outcome.err, "conv_norm_out.weight"), 1U) << outcome.err;
    EXPECT_FALSE(fs::exists(directory_ / "out/failed.jsonl"));
  }
}

/// Held up by standard error that is full, so that the signal comes in the middle of it.
TEST_F(LoraCommand, AStopWhileJobsAreRefusedLoadsNoOtherGroup) {
  copy("sd1_full", "nan");
  edit_weights(directory_ / "loras/nan.safetensors", [](EditedTensors& tensors) {
    tensors.begin()->second.values.front() = std::numeric_limits<float>::quiet_NaN();
  });
  std::string jobs = "a fox <lora:nan:1>\nan owl\n";
  for (int i = 0; i < 1000; ++i) jobs += "hen " + std::to_string(i) + " <lora:nan:1>\n";
  write_jobs(jobs);
  ASSERT_EQ(::mkfifo((directory_ / "errors").c_str(), 0600), 0);
  const int errors = ::open((directory_ / "errors").c_str(), O_RDWR);
  ASSERT_GE(errors, 0);
  ::fcntl(errors, F_SETPIPE_SZ, 8192);
  Program program({.arguments = words({"--lora-model-dir", "loras", "--json"}),
                   .directory = directory_,
                   .err = directory_ / "errors"});
  const fs::path failures = directory_ / "out/.failed.jsonl.new";
  for (int i = 0; i < 600 && !fs::exists(failures); ++i) ASSERT_TRUE(program.runs_for(0.1));
  ASSERT_TRUE(program.runs_for(1));
  program.send(SIGTERM);
  const Outcome outcome = program.finish(60);
  ::close(errors);
  EXPECT_EQ(outcome.code, kSignalled + SIGTERM);
  const nlohmann::json summary = nlohmann::json::parse(outcome.out);
  EXPECT_LT(summary["failed"], 1001);
  EXPECT_EQ(summary["load_ms"], 0);
}

/// Nor does it end a batch that goes on for as long as jobs come.
TEST_F(LoraCommand, AnAdapterThatSpoilsTheWeightsEndsNoStream) {
  copy("sd1_full", "nan");
  edit_weights(directory_ / "loras/nan.safetensors", [](EditedTensors& tensors) {
    tensors.begin()->second.values.front() = std::numeric_limits<float>::quiet_NaN();
  });
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  Words all = words({"--lora-model-dir", "loras", "--devices", "cpu:1,cpu:1"});
  all[1] = "pipe";
  Program program({.arguments = all, .directory = directory_});
  const int pipe = ::open((directory_ / "pipe").c_str(), O_RDWR);
  ASSERT_GE(pipe, 0);
  const auto send = [pipe](const std::string& line) {
    ASSERT_EQ(::write(pipe, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  };
  send("a fox <lora:nan:1> --d 1\n");
  ASSERT_TRUE(program.wait_for("line 1 failed", 60));
  send("a hen <lora:nan:1> --d 2\nan owl --d 3\n");
  ASSERT_TRUE(program.wait_for("00003_3.png\n", 60));
  ::close(pipe);
  const Outcome outcome = program.finish(60);
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_EQ(lines_in(bytes_of("out/failed.jsonl")), 2U);
}

TEST_F(LoraCommand, AJobMayBeStrict) {
  copy("sd1_full", "odd");
  edit_weights(directory_ / "loras/odd.safetensors", [](EditedTensors& tensors) {
    tensors["lora_te2_text_model_encoder_layers_0_mlp_fc1.diff"] = {{1}, {1}};
  });
  write_jobs(
      "{\"prompt\": \"a <lora:odd:1>\", \"strict\": true, \"seed\": 1}\n"
      "{\"prompt\": \"a <lora:odd:1>\", \"seed\": 2}\n");
  const Outcome outcome = batch({"--lora-model-dir", "loras"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "out/00002_2.png\n");
}

TEST_F(LoraCommand, AChoiceMayNotDecideOfAdapters) {
  const auto drawn_with = [&](const std::string& prompt) {
    return generate({"-p", prompt, "--lora-model-dir", "loras", "--wildcards", "loras", "-o", "x.png"});
  };
  expect_error(drawn_with("{<lora:ink:1> a|<lora:snow:1> b} fox"), 4, {"<lora:...>", "outside"});
  std::ofstream(directory_ / "loras/style.txt") << "<lora:ink:1> x\n";
  expect_error(drawn_with("__style__ fox"), 4, {"<lora:...>", "outside"});
  EXPECT_EQ(drawn_with("{a|b} fox <lora:ink:1>").code, 0);
  copy("sd1_kohya", "new__style__2");  // a name is no wildcard
  EXPECT_EQ(drawn_with("{a|b} fox <lora:new__style__2:1>").code, 0);
  // No character stands for a tag, and A1111's text keeps it.
  EXPECT_EQ(drawn_with("{a|a} \xEF\xBF\xBF <lora:ink:0.5> {b|b}").code, 0);
  EXPECT_NE(infotext_of("x.png").find("a \xEF\xBF\xBF <lora:ink:0.5> b\n"), std::string::npos)
      << infotext_of("x.png");
}

TEST_F(LoraCommand, AStreamOfJobsIsDrawnInItsOrder) {
  write_jobs("a fox <lora:ink:1> --d 1\nan owl --d 2\na hen <lora:ink:1> --d 3\n");
  Words all = words({"--lora-model-dir", "loras"});
  all[1] = "-";
  std::string line = "cd " + directory_.string() + " && cat jobs.txt | " + BRUME_PROGRAM;
  for (const std::string& word : all) line += " " + word;
  EXPECT_EQ(WEXITSTATUS(std::system((line + " >paths").c_str())), 0);
  EXPECT_EQ(bytes_of("paths"), "out/00001_1.png\nout/00002_2.png\nout/00003_3.png\n");
}

TEST_F(LoraCommand, AnAdapterOfAPromptThatDoesNotFitFailsItsJobsAlone) {
  fs::copy_file(fs::path(BRUME_TEST_DATA) / "reference/adapters/sdxl_peft/adapter_0.safetensors",
                directory_ / "loras/large.safetensors");
  write_jobs("a fox <lora:large:1> --d 1\nan owl <lora:ink:1> --d 2\n");
  const Outcome outcome = batch({"--lora-model-dir", "loras"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(lines_in(outcome.out), 1U) << outcome.out;
  EXPECT_NE(outcome.err.find("large"), std::string::npos) << outcome.err;
  fs::create_directory(directory_ / "none");
  const Outcome without = batch({}, "none");
  EXPECT_NE(without.err.find("--lora-model-dir"), std::string::npos) << without.err;
}

}  // namespace
}  // namespace brume::testing
