#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "cli_fixture.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEngine = "libbrume_engine.so";

/// What the program loads when it starts, and what it leaves until it is needed.
class StartUp : public CommandLine {
 protected:
  /// The files that the dynamic loader opens, by its own account, and what else is on standard error.
  std::string opened_by(const Words& words) const {
    const Outcome outcome =
        run({.arguments = words, .directory = directory_, .environment = {{"LD_DEBUG", "files"}}});
    EXPECT_NE(outcome.err.find("libstdc++.so"), std::string::npos) << outcome.err;
    return outcome.err;
  }
  /// The program alone, in a place of its own.
  fs::path program_without_engine() const {
    const fs::path program = directory_ / "bin" / "brume";
    fs::create_directories(program.parent_path());
    fs::copy_file(BRUME_PROGRAM, program);
    return program;
  }
};

/// As the OpenMP runtime itself says it.
TEST_F(StartUp, ThreadsThatWaitSleepSoonUnlessTheUserSaysOtherwise) {
  const auto tries = [&](const std::map<std::string, std::string>& said) {
    std::map<std::string, std::string> environment{{"OMP_DISPLAY_ENV", "verbose"}};
    environment.insert(said.begin(), said.end());
    const std::string err = run({.arguments = generate_words({"--steps", "1"}),
                                 .directory = directory_,
                                 .environment = environment})
                                .err;
    const std::string name = "GOMP_SPINCOUNT = '";
    const size_t found = err.find(name);
    EXPECT_NE(found, std::string::npos) << err;
    return std::stoll(err.substr(found + name.size()));
  };
  EXPECT_EQ(tries({}), 10000);
  EXPECT_EQ(tries({{"GOMP_SPINCOUNT", "7"}}), 7);
  EXPECT_GT(tries({{"OMP_WAIT_POLICY", "active"}}), 10000);
}

TEST_F(StartUp, WhatNeedsNoTensorLoadsNoLibtorch) {
  const std::string sd1 = model("sd1").string();
  std::ofstream(directory_ / "jobs") << "a fox\n";
  const std::vector<Words> commands{
      {"--version"},
      {"--help"},
      {"generate", "--help"},
      {"batch", "--help"},
      {"bench", "--help"},
      {"worker", "--help"},
      {},
      {"draw"},
      {"generate"},
      generate_words({"--steps", "abc"}),
      generate_words({"-o", "x.jpg"}),
      generate_words({"-o", "none/x.png"}),
      {"batch", "jobs"},
      {"batch", "jobs", "-o", "out", "--devices", "tpu"},
      {"batch", "jobs", "-o", "out", "--shard", "3/2"},
      {"batch", "jobs", "-o", "out", "--name", "{colour}"},
      {"batch", "--status", "."},
      {"bench", "--arch", "sd15", "-m", sd1},
      {"gallery", "."},
      {"tokenize", "-m", sd1, "a fox"},
      {"inspect", sd1},
      {"inspect", (model("sd1") / "vae/diffusion_pytorch_model.safetensors").string()},
  };
  for (const Words& words : commands) {
    std::string line;
    for (const std::string& word : words) line += " " + word;
    const std::string opened = opened_by(words);
    EXPECT_EQ(opened.find("file=libtorch"), std::string::npos) << line;
    EXPECT_EQ(opened.find(kEngine), std::string::npos) << line;
  }
}

TEST_F(StartUp, WhatDrawsLoadsIt) {
  const std::string opened = opened_by(generate_words({"-o", "x.png"}));
  EXPECT_NE(opened.find("file=libtorch_cpu.so"), std::string::npos);
  EXPECT_EQ(names(), Words{"x.png"});
}

TEST_F(StartUp, ASignalWhileItLoadsIsAnExitCode) {
  Program program({.arguments = generate_words({"-o", "x.png"}),
                   .directory = directory_,
                   .environment = {{"LD_DEBUG", "files"}}});
  ASSERT_TRUE(program.wait_for("file=libtorch_cpu.so", 60));
  program.send(SIGTERM);
  const Outcome outcome = program.finish(60);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.code, 128 + SIGTERM);
  EXPECT_EQ(names(), Words{});
}

TEST_F(StartUp, AMissingEngineIsOneLine) {
  const fs::path program = program_without_engine();
  const auto start = [&](const Words& words) {
    return run({.arguments = words, .directory = directory_, .program = program});
  };
  EXPECT_EQ(start({"--version"}).code, 0);
  expect_error(start(generate_words({})), 3, {kEngine, "is not there", "install all of brume"});
  std::ofstream(directory_ / "jobs") << "a fox\n";
  const Words batch{"batch", "jobs", "-o", "out", "-m", model("sd1").string()};
  expect_error(start(batch), 5, {"out", "mkdir"});  // told before the engine is looked for
  fs::create_directory(directory_ / "out");
  expect_error(start(batch), 3, {kEngine});
  Words by_workers = batch;
  by_workers.insert(by_workers.end(), {"--devices", "cpu:2"});
  expect_error(start(by_workers), 3, {kEngine});
  Words for_programs = batch;
  for_programs.insert(for_programs.end(), {"--progress", "jsonl"});
  const Outcome told = start(for_programs);
  EXPECT_EQ(told.code, 3);
  const auto event = nlohmann::json::parse(told.err);
  EXPECT_EQ(event["event"], "error");
  EXPECT_EQ(event["code"], 3);
}

TEST_F(StartUp, AnEngineThatCannotBeLoadedIsOneLine) {
  const fs::path program = program_without_engine();
  std::ofstream(program.parent_path() / kEngine) << "no library";
  expect_error(run({.arguments = generate_words({}), .directory = directory_, .program = program}), 3,
               {kEngine, "cannot be loaded", "libtorch"});
}

TEST_F(StartUp, TheEngineOfAnotherVersionIsOneLine) {
  const fs::path program = program_without_engine();
  fs::copy_file(BRUME_OTHER_ENGINE, program.parent_path() / kEngine);
  expect_error(run({.arguments = generate_words({}), .directory = directory_, .program = program}), 3,
               {kEngine, "is of another brume", "install all of brume again"});
}

TEST_F(StartUp, NoRoomForItIsOutOfMemory) {
  const auto start = [&](const Words& words, uint64_t mebibytes = 200) {
    return run({.arguments = words, .directory = directory_, .memory_limit = mebibytes << 20});
  };
  for (const uint64_t mebibytes : {200, 400, 600, 800, 921})
    expect_error(start(generate_words({}), mebibytes), 6, {"ulimit -v", "at least 944128"});
  std::ofstream(directory_ / "jobs") << "a fox\n";
  fs::create_directory(directory_ / "out");
  const Outcome told =
      start({"batch", "jobs", "-o", "out", "-m", model("sd1").string(), "--progress", "jsonl"});
  EXPECT_EQ(told.code, 6);
  const auto event = nlohmann::json::parse(told.err);
  EXPECT_EQ(event["event"], "error");
  EXPECT_EQ(event["code"], 6);
}

TEST_F(StartUp, AnInstalledProgramMayBeMoved) {
  const std::string install = BRUME_INSTALL "'" + (directory_ / "first").string() + "' > /dev/null";
  ASSERT_EQ(std::system(install.c_str()), 0);
  fs::rename(directory_ / "first", directory_ / "second");
  const fs::path program = directory_ / "second/bin/brume";
  const Outcome outcome = run({.arguments = {"generate", "-p", "a fox", "--steps", "1", "-o", "x.png", "-v"},
                               .directory = directory_,
                               .program = program});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("loading " + (directory_ / "second/share/brume").string()), std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace brume::testing
