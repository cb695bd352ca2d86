#include <fstream>
#include <random>
#include <thread>

#include "cli_fixture.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

/// libtorch's own would end the program there and then.
TEST_F(CommandLine, TooFewThreadsAreOutOfMemory) {
  const std::vector<Words> all{generate_words({"-o", "x.png"}),
                               {"bench", "-m", model("sd1").string(), "--max-rounds", "1"},
                               {"convert", model("sd1").string(), "x.safetensors"}};
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "libtorch needs no thread here";
  for (const Words& words : all) {
    const Outcome outcome =
        run({.arguments = words,
             .directory = directory_,
             .environment = {
                 {"LD_PRELOAD", BRUME_FEW_THREADS}, {"BRUME_MOST_THREADS", "0"}, {"OMP_NUM_THREADS", "2"}}});
    expect_error(outcome, 6, {"threads: no room for another", "ulimit -u"});
    EXPECT_EQ(names(), Words{});
  }
}

TEST_F(CommandLine, WrongUsage) {
  struct Row {
    Words words;
    Words parts;
  };
  const std::vector<Row> rows{
      {{},
       {"no command given", "generate, batch, gallery, bench, convert, tokenize, inspect; see brume --help"}},
      {{"draw"}, {"draw: unknown command", "generate"}},
      {{"generate"}, {"--prompt is required", "brume generate --help"}},
      {{"generate", "--promt=a fox"},
       {"--promt=a fox: unknown option, the nearest is --prompt; see brume generate --help"}},
      {{"generate", "a fox"}, {"a fox: not expected here; write the prompt as -p TEXT; see brume generate"}},
      {generate_words({"--stpes", "7"}), {"--stpes: unknown option, the nearest is --steps;"}},
      {generate_words({"--cfg", "7"}), {"--cfg: unknown option, the nearest is --cfg-scale;"}},
      {generate_words({"--neg", "x"}), {"--neg: unknown option, the nearest is --negative-prompt;"}},
      {{"generate", "-p"}, {"--prompt: its value is missing"}},
      {generate_words({"--bogus"}), {"--bogus: unknown option; see brume generate --help"}},
      {generate_words({"-p", "a", "fox"}), {"fox: not expected here", "quote a text"}},
      {generate_words({"--steps", "1", "--steps", "2"}), {"--steps: given more than once"}},
      {generate_words({"--steps", "abc"}), {"--steps", "\"abc\" is not a whole number from 1 to 1000"}},
      {generate_words({"--steps", "0"}), {"--steps", "\"0\"", "from 1 to 1000"}},
      {generate_words({"--steps", "1001"}), {"--steps", "\"1001\""}},
      {generate_words({"--steps", ""}), {"--steps", "\"\""}},
      {generate_words({"--steps", "2.5"}), {"--steps", "\"2.5\""}},
      {generate_words({"-W", "63"}), {"--width 63: not a multiple of this model's 8", "use 56 or 64"}},
      {generate_words({"-H", "7"}), {"--height 7: not a multiple", "use 8 or 16"}},
      {generate_words({"-W", "16384", "-H", "16384"}), {"100 million", "smaller size"}},
      {generate_words({"-W", "-64"}), {"--width", "from 1 to 16384"}},
      {generate_words({"-W", "99999999999999999999999"}), {"--width"}},
      {generate_words({"--cfg-scale", "nan"}), {"--cfg-scale", "\"nan\" is not a number from 0 to 1000"}},
      {generate_words({"--eta", "inf"}), {"--eta", "from 0 to 1"}},
      {generate_words({"--eta", "0.5", "--sampling-method", "ddpm"}), {"--eta", "ddpm has none"}},
      {generate_words({"--sampler", "euler_a", "--scheduler", "magic"}),
       {"--scheduler magic", "karras, exp"}},
      {generate_words({"--sampler", "ddim", "--scheduler", "karras"}),
       {"--scheduler karras", "ddim has its own"}},
      {generate_words({"--sampler", "DDIM Karras"}), {"--scheduler", "ddim has its own"}},
      {generate_words({"--sampler", "euler", "--sigmas", "3,5"}), {"--scheduler 3,5", "do not fall", "14.6"}},
      {generate_words({"--sampler", "euler", "--sigmas", "1e300,1"}), {"--scheduler", "1e300 is not from"}},
      {generate_words({"--lora", "a.safetensors:1e9"}), {"--lora", "1e9", "no strength"}},
      {generate_words({"--lora", "a.safetensors:"}), {"--lora", "no strength"}},
      {generate_words({"--sampler", "euler", "--sigmas", "3,1", "--steps", "7"}), {"--steps 7", "2 steps"}},
      {generate_words({"--sampler", "lcm", "--steps", "51"}), {"--steps 51", "1 to 50"}},
      {generate_words({"-s", "99999999999999999999"}), {"--seed", "from -1 to"}},
      {generate_words({"-s", "-5"}), {"--seed"}},
      {generate_words({"--sampling-method", "magic"}),
       {"--sampling-method magic: unknown sampler", "ddim, ddpm"}},
      {generate_words({"--clip-skip", "99"}), {"--clip-skip", "use at most"}},
      {generate_words({"-b", "0"}), {"--batch-count"}},
      {generate_words({"--batch-size", "0"}), {"--batch-size"}},
      {generate_words({"--dtype", "fp8"}), {"--dtype", "fp8", "bf16"}},
      {generate_words({"--device", "tpu"}), {"--device", "\"tpu\" is unknown; use auto, cpu"}},
      {generate_words({"-t", "many"}), {"--threads", "many"}},
      {generate_words({"-o", ""}), {"--output", "is empty"}},
      {generate_words({"-m", ""}), {"--model", "is empty"}},
      {generate_words({"-o", "x_%s.png"}), {"x_%s.png", "%03d"}},
      {generate_words({"-o", "-", "-b", "2"}), {"-o -", "one picture"}},
      {generate_words({"-o", "-", "--json"}), {"--json"}},
      {generate_words({"-o", "/dev/null", "-b", "2"}), {"-o /dev/null", "one picture"}},
      {generate_words({"-o", "/dev/stdout", "--json"}), {"--json"}},
      {generate_words({"--save-latents", "-"}), {"--save-latents", "name a file"}},
      {generate_words({"-s", "9223372036854775807", "-b", "2"}), {"--seed", "smaller seed"}},
      {generate_words({"-t", "0"}), {"--threads"}},
      {generate_words({"-o", "x.jpg"}), {"-o x.jpg", "writes PNG", "x.png"}},
      {generate_words({"-o", "x.png", "--save-latents", "./x.png"}), {"--save-latents", "same file", "-o"}},
      {generate_words({"--init-latents", "l", "--save-latents", "l"}),
       {"--save-latents l", "--init-latents"}},
      {generate_words({"--steps", "a\nb\x1b"}), {"a\\x0ab\\x1b"}},
      {{"tokenize"}, {"text is required", "brume tokenize --help"}},
      {{"inspect"}, {"file is required"}},
      {{"inspect", ""}, {"is empty"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.words.empty() ? "" : row.words.back());
    const Outcome outcome = brume(row.words);
    expect_error(outcome, 2, row.parts);
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_EQ(names(), Words{});
}

TEST_F(CommandLine, BrokenInput) {
  std::ofstream(directory_ / "text") << "no tensors here, only words";
  std::ofstream(directory_ / "cut.png") << "\x89PNG\r\n\x1a\n";
  const std::string weights = (model("sd1") / "vae/diffusion_pytorch_model.safetensors").string();
  ASSERT_EQ(generate({"-o", "-", "--save-latents", "one.safetensors"}).code, 0);
  expect_error(generate({"--init-latents", "none.safetensors"}), 4, {"--init-latents", "none.safetensors"});
  expect_error(generate({"--init-latents", "text"}), 4, {"--init-latents", "text"});
  expect_error(generate({"--init-latents", "."}), 4, {"--init-latents", "regular file"});
  expect_error(generate({"--init-latents", weights}), 4, {"has no tensor \"latents\"", "--save-latents"});
  expect_error(generate({"--init-latents", "one.safetensors", "-W", "72"}), 4, {"[1, 4, 8, 9]"});
  expect_error(generate({"--init-latents", "one.safetensors", "-b", "2"}), 4, {"1 picture, not 2", "-b 1"});
  expect_error(generate({"-p", "\xff\xfe"}), 4, {"UTF-8", "\\xff\\xfe"});
  expect_error(generate({"-n", "\xff"}), 4, {"UTF-8"});
  expect_error(brume({"tokenize", "-m", model("sd1").string(), "\xc0"}), 4, {"UTF-8"});
  expect_error(brume({"inspect", "none.png"}), 4, {"none.png"});
  expect_error(brume({"inspect", "cut.png"}), 4, {"cut.png", "PNG"});
  expect_error(brume({"inspect", "/dev/null"}), 4, {"/dev/null", "regular file"});
  expect_error(brume({"inspect", std::string(5000, 'x')}), 4, {"xxx"});
  expect_error(brume({"inspect", "a\n\x1b[2J.png"}), 4, {"a\\x0a\\x1b[2J.png"});
  expect_error(brume({"inspect", "text"}), 4, {"text: is neither a PNG", "name a .png"});
  const fs::path checkpoints = fs::path(BRUME_TEST_DATA) / "cases" / "checkpoints";
  expect_error(brume({"inspect", (checkpoints / "legacy.pt").string()}), 3,
               {"bare pickle", "save it again in torch"});
  expect_error(brume({"inspect", (checkpoints / "whole_module.pt").string()}), 3,
               {"byte 2: the global torch.nn.modules.linear.Linear is not allowed",
                "get the weights as .safetensors"});
  fs::create_directory(directory_ / "empty");
  expect_error(brume({"inspect", "empty"}), 3, {"0 .safetensors files"});
  EXPECT_EQ(names(), (Words{"cut.png", "empty", "one.safetensors", "text"}));
}

TEST_F(CommandLine, UnwritablePlaces) {
  fs::create_directory(directory_ / "locked");
  fs::permissions(directory_ / "locked", fs::perms::owner_read | fs::perms::owner_exec);
  const auto bound = [&](const Words& more) {
    return run({.arguments = generate_words(more), .directory = directory_, .obeys_modes = true});
  };
  expect_error(bound({"-o", "locked/x.png"}), 5, {"locked: may not be written to", "choose another place"});
  expect_error(bound({"-o", "x.png", "--save-latents", "locked/l"}), 5, {"locked: may not be written to"});
  expect_error(generate({"-o", "none/x.png"}), 5, {"none: no such directory", "mkdir -p none"});
  expect_error(generate({"-o", "x.png", "--save-latents", "none/l"}), 5, {"none: no such directory"});
  fs::create_directory(directory_ / "x_2.png");
  expect_error(generate({"-o", "x.png", "--save-latents", "locked"}), 5, {"locked: is a directory"});
  expect_error(generate({"-o", "x.png", "-b", "2"}), 5, {"x_2.png: is a directory", "name a file"});
  expect_error(generate({"-o", std::string(300, 'x') + ".png"}), 5, {"File name too long", "shorter name"});
  expect_error(generate({"-o", "/proc/x.png"}), 5, {"/proc"});
  expect_error(generate({"-o", "no\x1b[2J/x.png"}), 5, {"no\\x1b[2J: no such directory"});
  EXPECT_EQ(names(), (Words{"locked", "x_2.png"}));
}

TEST_F(CommandLine, ALinkToWhatIsNotThereYetIsTheSameFile) {
  fs::create_symlink("real.png", directory_ / "link.png");
  expect_error(generate({"-o", "real.png", "--save-latents", "link.png"}), 2,
               {"--save-latents", "same file"});
  EXPECT_EQ(generate({"-o", "link.png"}).code, 0);
  EXPECT_TRUE(fs::is_symlink(directory_ / "link.png"));
  EXPECT_EQ(names(), (Words{"link.png", "real.png"}));
}

TEST_F(CommandLine, WhatIsDoneIsReportedBeforeAFailure) {
  fs::create_symlink("/dev/full", directory_ / "x_2.png");
  const Outcome outcome = generate({"-o", "x.png", "-b", "3", "--json", "--save-latents", "l.safetensors"});
  expect_error(outcome, 5, {"x_2.png", "No space left"});
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["complete"], false);
  EXPECT_EQ(report["pictures"].size(), 1U);
  EXPECT_EQ(report["pictures"][0]["path"], "x_1.png");
  EXPECT_EQ(names(), (Words{"l.safetensors", "x_1.png", "x_2.png"}));
}

TEST_F(CommandLine, AFullDiskLeavesNothing) {
  const Outcome limited =
      run({.arguments = generate_words({"-o", "x.png"}), .directory = directory_, .file_limit = 100});
  expect_error(limited, 5, {"x.png: cannot write: File too large", "ulimit -f"});
  EXPECT_EQ(names(), Words{});
  for (const Words& words :
       {generate_words({"-o", "-"}), generate_words({"-o", "x.png"}),
        generate_words({"-o", "x.png", "--json"}), Words{"--version"}, Words{"--help"},
        Words{"tokenize", "-m", model("sd1").string(), "a"}, Words{"inspect", model("sd1").string()}}) {
    const Outcome full = run({.arguments = words, .directory = directory_, .out = "/dev/full"});
    expect_error(full, 5, {"standard output: cannot write: No space left on device", "free some space"});
  }
}

TEST_F(CommandLine, AClosedPipeIsAnError) {
  Program program({.arguments = generate_words({"-o", "-"}), .directory = directory_});
  program.close_output();
  expect_error(program.finish(), 5, {"standard output: cannot write: Broken pipe"});
}

TEST_F(CommandLine, UnreadableDirectories) {
  const fs::path copy = copy_of("sd1");
  fs::permissions(copy / "unet", fs::perms::none);
  const auto bound = [&](const Words& words) {
    return run({.arguments = words, .directory = directory_, .obeys_modes = true});
  };
  expect_error(bound(generate_words({}, copy)), 3, {"unet", "Permission denied"});
  expect_error(bound({"inspect", (copy / "unet/config.json").string()}), 4, {"Permission denied"});
  expect_error(bound({"inspect", (copy / "unet").string()}), 3, {"Permission denied"});
  fs::permissions(copy, fs::perms::none);
  expect_error(bound(generate_words({}, copy)), 3, {"sd1", "Permission denied"});
  expect_error(bound({"tokenize", "-m", copy.string(), "a"}), 3, {"sd1", "Permission denied"});
  fs::permissions(copy, fs::perms::owner_all);
}

/// Options with values that are sometimes right: whatever comes, one line and a code of the contract.
TEST_F(CommandLine, RandomArguments) {
  const std::vector<std::string> options{"-p",
                                         "-n",
                                         "-W",
                                         "-H",
                                         "--steps",
                                         "--cfg-scale",
                                         "--cfg_rescale",
                                         "--sampler",
                                         "--eta",
                                         "-s",
                                         "--clip-skip",
                                         "--vae-tiling",
                                         "--compat",
                                         "--strict",
                                         "--wildcards",
                                         "-m",
                                         "-b",
                                         "--batch-size",
                                         "-o",
                                         "--init-latents",
                                         "--save-latents",
                                         "--rng",
                                         "--guidance-start",
                                         "--guidance-end",
                                         "--mimic-scale",
                                         "--threshold-percentile",
                                         "--pag-scale",
                                         "--pag-adaptive-scale",
                                         "--pag-layers",
                                         "--freeu",
                                         "--device",
                                         "--dtype",
                                         "-t",
                                         "-v",
                                         "--json",
                                         "--",
                                         "-",
                                         "--bogus",
                                         "-Wx",
                                         "--steps=",
                                         "-h",
                                         "--help"};
  const std::vector<std::string> values{"64",
                                        "8",
                                        "0",
                                        "-1",
                                        "1",
                                        "2",
                                        "65",
                                        "1e3",
                                        "nan",
                                        "-inf",
                                        "",
                                        " ",
                                        "ddim",
                                        "DDPM",
                                        "cpu",
                                        "auto",
                                        "bf16",
                                        "x.png",
                                        "x_%d.png",
                                        "%",
                                        "%%",
                                        "-",
                                        ".",
                                        "/",
                                        "none/x",
                                        "l.safetensors",
                                        "\xff",
                                        "\n",
                                        "\x1b[2J",
                                        "--",
                                        "=",
                                        "0x10",
                                        "1,000",
                                        "2 ",
                                        "99999999999999999999",
                                        std::string(5000, 'z'),
                                        model("sd2").string()};
  std::mt19937 random(1);
  const auto any = [&](const Words& from) { return from[random() % from.size()]; };
  constexpr int kRuns = 120;
  for (int i = 0; i < kRuns; ++i) {
    Words words =
        random() % 8 == 0 ? Words{any({"generate", "tokenize", "inspect", "gen"})} : generate_words({});
    for (auto count = random() % 4; count > 0; --count) {
      words.push_back(any(options));
      if (random() % 4 != 0) words.push_back(any(values));
    }
    const Outcome outcome = brume(words);
    std::string line;
    for (const std::string& word : words) line += " '" + word + "'";
    ASSERT_EQ(outcome.signal, 0) << line;
    ASSERT_GE(outcome.code, 0) << line;
    ASSERT_LE(outcome.code, 5) << line << outcome.err;
    if (outcome.code == 0) continue;
    SCOPED_TRACE(line);
    expect_error(outcome, outcome.code, {});
  }
}

}  // namespace
}  // namespace brume::testing
