#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <span>
#include <tuple>

#include "brume/image/png.h"
#include "cli_fixture.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

size_t lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

Picture decode(const std::string& png) { return decode_png(std::as_bytes(std::span(png)), "picture"); }

int largest_difference(const Picture& a, const Picture& b) {
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

TEST_F(CommandLine, OnePictureIsOnePathOnStandardOutput) {
  const Outcome outcome = generate({"-o", "x.png"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "x.png\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(names(), Words{"x.png"});
  EXPECT_EQ(decode(bytes_of("x.png")).width, 64);
}

TEST_F(CommandLine, EveryModelFamilyDraws) {
  for (const char* name : {"sd1", "sd2", "sdxl"}) {
    EXPECT_EQ(generate({"-m", model(name).string(), "-o", name + std::string(".png")}).code, 0) << name;
  }
  EXPECT_EQ(names(), (Words{"sd1.png", "sd2.png", "sdxl.png"}));
}

TEST_F(CommandLine, ARefinerFinishesAPicture) {
  const std::string refiner = model("refiner").string();
  EXPECT_EQ(generate({"-o", "x.png"}).code, 0);
  expect_error(generate({"-m", refiner, "-o", "y.png"}), 2, {"--init-img", "finishes pictures"});
  EXPECT_EQ(generate({"-m", refiner, "-i", "x.png", "--steps", "4", "-o", "y.png"}).code, 0);
  EXPECT_EQ(brume({"convert", refiner, "packed.safetensors"}).code, 0);
  EXPECT_EQ(generate({"-m", "packed.safetensors", "-i", "x.png", "--steps", "4", "-o", "z.png"}).code, 0);
  EXPECT_EQ(pixels("y.png"), pixels("z.png"));
  EXPECT_EQ(brume({"tokenize", "-m", refiner, "a fox"}).code, 0);
  std::ofstream(directory_ / "jobs.txt") << "a fox\n--prompt \"a fox\" --init_img x.png --d 3\n";
  fs::create_directory(directory_ / "out");
  const Outcome jobs = brume({"batch", "jobs.txt", "-o", "out", "-m", refiner, "--steps", "4", "--json"});
  EXPECT_EQ(jobs.code, 1) << jobs.err;
  EXPECT_EQ(nlohmann::json::parse(jobs.out)["drawn"], 1);
}

TEST_F(CommandLine, ABatchIsNumberedAndAPictureDoesNotDependOnIt) {
  EXPECT_EQ(generate({"-o", "x.png", "-b", "3", "-s", "7"}).out, "x_1.png\nx_2.png\nx_3.png\n");
  EXPECT_EQ(generate({"-o", "one.png", "-s", "8"}).code, 0);
  EXPECT_EQ(bytes_of("x_2.png"), bytes_of("one.png"));
  EXPECT_EQ(generate({"-o", "p_%03d.png", "-b", "2", "--batch-size", "2"}).out, "p_001.png\np_002.png\n");
  fs::create_directory(directory_ / "d");
  EXPECT_EQ(generate({"-o", "d", "-b", "2"}).out, "d/output.png\nd/output_2.png\n");
  EXPECT_EQ(generate({"-o", "d/"}).out, "d/output_3.png\n");
}

TEST_F(CommandLine, WithoutANameNothingIsReplaced) {
  EXPECT_EQ(generate({}).out, "output.png\n");
  const std::string first = bytes_of("output.png");
  EXPECT_EQ(generate({"-s", "1"}).out, "output_2.png\n");
  EXPECT_EQ(bytes_of("output.png"), first);
}

TEST_F(CommandLine, ADashIsAPictureOnStandardOutput) {
  const Outcome outcome = generate({"-o", "-"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(decode(outcome.out).height, 64);
  EXPECT_EQ(names(), Words{});
}

TEST_F(CommandLine, TheReportHasEveryField) {
  const Outcome outcome = generate({"--json", "-b", "2", "-o", "x.png"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  for (const char* key :
       {"pictures", "model", "prompt", "width", "height", "steps", "cfg_scale", "sampler", "device", "dtype",
        "version", "steps_per_second", "load_ms", "text_encode_ms", "denoise_ms", "vae_decode_ms"}) {
    EXPECT_TRUE(report.contains(key)) << key;
  }
  EXPECT_EQ(report["complete"], true);
  EXPECT_EQ(report["pictures"].size(), 2U);
  EXPECT_EQ(report["pictures"][1]["path"], "x_2.png");
  EXPECT_EQ(report["pictures"][1]["seed"], 43);
  EXPECT_EQ(report["sampler"], "plms");  // the model's own, PNDMScheduler
}

TEST_F(CommandLine, EverySamplerDrawsAndSaysHowInThePicture) {
  struct Row {
    const char* sampler;
    const char* scheduler;
    const char* shown;
  };
  for (const Row& row :
       {Row{"DPM++ 2M Karras", "", "Sampler: DPM++ 2M, Schedule type: Karras, CFG"},
        Row{"euler_a", "exponential", "Sampler: Euler a, Schedule type: Exponential, CFG"},
        Row{"unipc", "", "Sampler: UniPC, Schedule type: Uniform, CFG"},
        Row{"DPM++ 2M SDE", "Automatic", "Sampler: DPM++ 2M SDE, Schedule type: Exponential, CFG"},
        Row{"DPM++ 2M Karras", "automatic", "Sampler: DPM++ 2M, Schedule type: Karras, CFG"},
        Row{"ddim", "automatic", "Sampler: DDIM, CFG"}, Row{"ddim", "model", "Sampler: DDIM, CFG"},
        Row{"dpmpp_2m_sde_gpu", "karras", "Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG"},
        Row{"heun", "9, 3,1.50", "Sampler: Heun, Schedule type: \"9,3,1.5,0\", CFG"},
        Row{"euler_cfg_pp", "ays", "Sampler: Euler CFG++, Schedule type: Align Your Steps, CFG"},
        Row{"dpm++3m_sde", "kl_optimal", "Sampler: DPM++ 3M SDE, Schedule type: KL Optimal, CFG"},
        Row{"lcm", "", "Sampler: LCM, CFG"}}) {
    Words words{"-o", "x.png", "--sampler", row.sampler, "--steps", "3"};
    if (*row.scheduler != 0) words.insert(words.end(), {"--scheduler", row.scheduler});
    const Outcome outcome = generate(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const std::string png = bytes_of("x.png");
    EXPECT_NE(png.find(row.shown), std::string::npos) << row.sampler;
    EXPECT_EQ(decode(png).width, 64);
  }
  const Outcome told = generate({"-o", "y.png", "--sampler", "euler_a", "--eta", "0", "--json"});
  EXPECT_EQ(nlohmann::json::parse(told.out)["eta"], 0);
  EXPECT_NE(bytes_of("y.png").find("Eta: 0"), std::string::npos);
}

TEST_F(CommandLine, TypesHaveTheNamesOfOtherPrograms) {
  for (const auto& [option, type, shown] : {std::tuple{"--type", "f16", "fp16"},
                                            {"--dtype", "bfloat16", "bf16"},
                                            {"--dtype", "float32", "fp32"}}) {
    const Outcome outcome = generate({"-o", "x.png", option, type, "--json"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(nlohmann::json::parse(outcome.out)["dtype"], shown) << type;
  }
  expect_error(generate({"--type", "q8_0"}), 2, {"\"q8_0\" is unknown; use auto, fp32, bf16, fp16"});
}

TEST_F(CommandLine, VerboseSaysWhatLoadingTook) {
  const Outcome outcome = generate({"-o", "x.png", "-v"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* part : {"memory: at most 0.", " GiB until here; beside the weights a step about ",
                           "loaded in ", " s, first step ", " s after the start, text "})
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n" << outcome.err;
}

/// As a script writes it whose variable is empty: the next word is not the value.
TEST_F(CommandLine, AnEmptyValueIsEmpty) {
  const Outcome outcome = generate({"--negative_prompt=", "--json", "-o", "x.png"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(nlohmann::json::accept(outcome.out)) << outcome.out;
  EXPECT_NE(bytes_of("x.png").find("\"negative_prompt\":\"\""), std::string::npos);
  const Outcome refused = generate({"--eta=", "-o", "y.png"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("--eta: \"\" is not a number"), std::string::npos) << refused.err;
}

TEST_F(CommandLine, SameCommandSameBytes) {
  for (const char* name : {"sd1", "sdxl"}) {
    const std::string model = this->model(name).string();
    EXPECT_EQ(generate({"-m", model, "-o", "a.png"}).code, 0);
    EXPECT_EQ(generate({"-m", model, "-o", "b.png"}).code, 0);
    EXPECT_EQ(generate({"-m", model, "-o", "one.png", "-t", "1"}).code, 0);
    EXPECT_EQ(generate({"-m", model, "-o", "two.png", "-t", "2"}).code, 0);
    EXPECT_EQ(bytes_of("a.png"), bytes_of("b.png")) << name;
    // Another number of threads sums in another order.
    EXPECT_LE(largest_difference(decode(bytes_of("one.png")), decode(bytes_of("two.png"))), 1) << name;
  }
}

size_t count_in(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Weights in a layout that oneDNN does not want are laid out anew in each call, and from one blocked layout
/// to another by its slowest loop ("simple"). oneDNN itself tells what it runs.
TEST_F(CommandLine, NoWeightsAreLaidOutAnewInACall) {
  std::ofstream(directory_ / "jobs") << "a fox --s 1\nan owl --s 2\na cat --s 3\na dog --s 3\n";
  std::filesystem::create_directory(directory_ / "out");
  const std::vector<Words> commands = {
      {"generate", "-p", "a red apple", "--steps", "3", "-b", "3", "--batch-size", "3"},
      {"batch", "jobs", "-o", "out", "--batch-size", "4"}};
  for (const Words& words : commands) {
    const Outcome outcome =
        run({.arguments = words, .directory = directory_, .environment = {{"ONEDNN_VERBOSE", "1"}}});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    ASSERT_GT(count_in(outcome.out, "exec,cpu,convolution"), 100U) << "oneDNN tells nothing";
    EXPECT_EQ(count_in(outcome.out, "exec,cpu,reorder,simple"), 0U);
  }
}

TEST_F(CommandLine, LatentsGoOutAndIn) {
  EXPECT_EQ(generate({"-b", "2", "-o", "x.png", "--save-latents", "l.safetensors"}).code, 0);
  const Words again{"-b", "2", "--init-latents", "l.safetensors", "-o"};
  for (const char* name : {"a.png", "b.png"}) {
    Words words = again;
    words.emplace_back(name);
    EXPECT_EQ(generate(words).code, 0);
  }
  EXPECT_EQ(bytes_of("a_2.png"), bytes_of("b_2.png"));
  EXPECT_NE(bytes_of("a_2.png"), bytes_of("x_2.png"));
  EXPECT_EQ(recipe_of("a_1.png")["notes"], nlohmann::json{"init_latents"});
  const Outcome listing = brume({"inspect", "--json", "l.safetensors"});
  EXPECT_EQ(nlohmann::json::parse(listing.out)["files"][0]["tensors"][0]["shape"],
            (nlohmann::json{2, 4, 8, 8}));
}

TEST_F(CommandLine, InitLatentsAreOneRowAPicture) {
  EXPECT_EQ(generate({"-b", "2", "--batch-size", "2", "--save-latents", "l.safetensors", "-o", "x.png"}).code,
            0);
  const Words from{"-b", "2", "--init-latents", "l.safetensors"};
  Words together = from;
  together.insert(together.end(), {"--batch-size", "2", "-o", "t.png"});
  Words apart = from;
  apart.insert(apart.end(), {"-o", "a.png"});
  EXPECT_EQ(generate(together).code, 0);
  EXPECT_EQ(generate(apart).code, 0);
  // The library may add in another order in another batch size: the last bit, not the picture.
  EXPECT_LE(largest_difference(decode(bytes_of("t_2.png")), decode(bytes_of("a_2.png"))), 1);
  EXPECT_GT(largest_difference(decode(bytes_of("t_1.png")), decode(bytes_of("a_2.png"))), 1);
}

TEST_F(CommandLine, SpellingsOfOtherProgramsAreOneCommand) {
  EXPECT_EQ(generate({"--cfg-scale", "3", "--sampling-method", "ddim", "-b", "2", "-o", "a.png"}).code, 0);
  EXPECT_EQ(generate({"--guidance_scale=3", "--sampler_name", "DDIM", "--num_images_per_prompt", "2", "-o",
                      "b.png"})
                .code,
            0);
  EXPECT_EQ(brume({"generate", "-m", model("sd1").string(), "--prompt=a fox", "--width", "64", "--height=64",
                   "--num-inference-steps", "2", "--guidance-scale", "3", "--sampler", "DDIMScheduler", "-b",
                   "2", "-o", "c.png"})
                .code,
            0);
  EXPECT_EQ(bytes_of("a_2.png"), bytes_of("b_2.png"));
  EXPECT_EQ(bytes_of("a_2.png"), bytes_of("c_2.png"));
}

TEST_F(CommandLine, WordsThatLookLikeOptionsStayWords) {
  EXPECT_EQ(generate({"-p", "--my_words", "-o", "x.png"}).code, 0);
  EXPECT_EQ(recipe_of("x.png")["prompt"], "--my_words");
  EXPECT_EQ(brume({"tokenize", "-m", model("sd1").string(), "--", "-a_b"}).code, 0);
}

TEST_F(CommandLine, ANegativeSeedIsAnyAndIsTold) {
  EXPECT_EQ(generate({"-s", "-1", "-o", "a.png"}).code, 0);
  EXPECT_EQ(generate({"--seed=-1", "-o", "b.png"}).code, 0);
  EXPECT_NE(recipe_of("a.png")["seed"], recipe_of("b.png")["seed"]);
  EXPECT_EQ(generate({"-s", "010", "-o", "c.png"}).code, 0);
  EXPECT_EQ(recipe_of("c.png")["seed"], 10);
}

TEST_F(CommandLine, OddPrompts) {
  const std::string most(100'000, 'x');  // Linux takes 128 KiB an argument
  for (const std::string& prompt : {std::string(), std::string("\n"), std::string("\x1b[2J\a"), most}) {
    const Outcome outcome = generate({"-p", prompt, "-o", "x.png"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos);
    EXPECT_EQ(recipe_of("x.png")["prompt"], prompt);
  }
  const Outcome outcome = generate({"-p", most, "-o", "x.png"});
  EXPECT_NE(outcome.err.find("note: the prompt is too long"), std::string::npos) << outcome.err;
}

TEST_F(CommandLine, TilingIsInTheRecipe) {
  EXPECT_EQ(generate({"--vae-tiling", "-o", "x.png"}).code, 0);
  EXPECT_EQ(recipe_of("x.png")["notes"], nlohmann::json{"vae_tiling"});
}

TEST_F(CommandLine, APipeIsWrittenIntoAndStaysAPipe) {
  const fs::path pipe = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  EXPECT_EQ(generate({"-o", "pipe"}).code, 0);
  std::string png(1 << 16, '\0');
  png.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(reader, png.data(), png.size()))));
  ::close(reader);
  EXPECT_EQ(decode(png).width, 64);
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(CommandLine, ALinkIsFollowed) {
  fs::create_directory(directory_ / "far");
  fs::create_symlink("far/real.png", directory_ / "link.png");
  std::ofstream(directory_ / "far/real.png") << "old";
  EXPECT_EQ(generate({"-o", "link.png"}).code, 0);
  EXPECT_TRUE(fs::is_symlink(directory_ / "link.png"));
  EXPECT_EQ(decode(bytes_of("far/real.png")).width, 64);
}

TEST_F(CommandLine, InspectShowsRecipesAndTensors) {
  EXPECT_EQ(generate({"-o", "x.png", "-n", "rain"}).code, 0);
  const Outcome text = brume({"inspect", "x.png"});
  EXPECT_EQ(text.code, 0);
  EXPECT_NE(text.out.find("negative_prompt: rain\n"), std::string::npos) << text.out;
  EXPECT_EQ(recipe_of("x.png")["steps"], 2);
  const Outcome index =
      brume({"inspect", (model("sdxl") / "unet/diffusion_pytorch_model.safetensors.index.json").string()});
  EXPECT_EQ(index.code, 0) << index.err;
  EXPECT_NE(index.out.find("conv_in.weight"), std::string::npos);
  const Outcome directory = brume({"inspect", "--json", model("sd1").string()});
  EXPECT_EQ(nlohmann::json::parse(directory.out)["files"].size(), 3U);
  const fs::path checkpoint = fs::path(BRUME_TEST_DATA) / "cases/checkpoints/lightning_fp16.ckpt";
  fs::copy(checkpoint, directory_ / "of_another_name.png.txt");
  const Outcome listed = brume({"inspect", "of_another_name.png.txt"});
  EXPECT_EQ(listed.code, 0) << listed.err;
  EXPECT_NE(listed.out.find("  # global_step = 470000\n"), std::string::npos) << listed.out;
  EXPECT_NE(listed.out.find("  model.diffusion_model.input_blocks.0.0.weight  "), std::string::npos)
      << listed.out;
  EXPECT_NE(listed.out.find("  ! pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint: not read\n"),
            std::string::npos)
      << listed.out;
}

TEST_F(CommandLine, TokenizeIsJson) {
  const Outcome outcome = brume({"tokenize", "-m", model("sd1").string(), "--compat", "diffusers",
                                 "a fox in the snow, and so on and on"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["ids"].size(), 13U);
  EXPECT_GT(report["cut"]["tokens"], 0);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(CommandLine, VersionAndHelp) {
  const Outcome version = brume({"--version"});
  EXPECT_EQ(version.code, 0);
  for (const char* part : {"brume 0.", "build: ", "libtorch 2.", "devices: cpu", "instruction sets:"})
    EXPECT_NE(version.out.find(part), std::string::npos) << part << "\n" << version.out;
  EXPECT_EQ(version.err, "");
  for (const Words& words :
       {Words{"--help"}, Words{"generate", "--help"}, Words{"tokenize", "-h"}, Words{"inspect", "-h"}}) {
    const Outcome help = brume(words);
    EXPECT_EQ(help.code, 0);
    EXPECT_GT(lines(help.out), 4U);
    EXPECT_EQ(help.err, "");
  }
}

}  // namespace
}  // namespace brume::testing
