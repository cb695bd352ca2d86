#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "cli_batch_fixture.h"

// brume batch from outside: what it reads, what it leaves, how it goes on.
namespace brume::testing {
namespace {

namespace fs = std::filesystem;
TEST_F(BatchCommand, DrawsEveryJobOnceAndTellsItsPath) {
  write_mixed_jobs(8);
  const Outcome outcome = batch();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(lines_in(outcome.out), 8U);
  EXPECT_EQ(pictures().size(), 8U);
  EXPECT_EQ(pictures_by_key().size(), 8U);
  for (const auto& [name, bytes] : pictures())
    EXPECT_NE(outcome.out.find("out/" + name + "\n"), std::string::npos) << name;
  const nlohmann::json recipe = recipe_of("out/00003_2.png");
  EXPECT_EQ(recipe["prompt"], "a house 2");
  EXPECT_EQ(recipe["negative_prompt"], "rain");
  EXPECT_EQ(recipe["cfg_scale"], 3);
  EXPECT_EQ(recipe["seed"], 2);
}

TEST_F(BatchCommand, GoesOnWhereARunStopped) {
  write_mixed_jobs(12);
  EXPECT_EQ(summary()["drawn"], 12);
  const Pictures all = pictures();
  nlohmann::json again = summary();
  EXPECT_EQ(again["drawn"], 0);
  EXPECT_EQ(again["skipped"], 12);

  fs::remove(directory_ / "out" / all.begin()->first);
  EXPECT_EQ(summary()["drawn"], 1);

  // A damaged picture of the right size is found by --resume.
  const std::string damaged = all.rbegin()->first;
  {
    std::fstream file(directory_ / "out" / damaged, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1000);
    file.put('x');
  }
  EXPECT_EQ(summary()["drawn"], 0);
  EXPECT_EQ(summary({"--resume"})["drawn"], 1);

  std::string jobs = bytes_of("jobs.txt");
  jobs.replace(jobs.find("fox number 4"), 12, "fox number X");
  write_jobs("a new line in front\n" + jobs);
  again = summary();
  EXPECT_EQ(again["drawn"], 2);
  EXPECT_EQ(again["skipped"], 11);
  EXPECT_EQ(pictures_by_key().size(), 14U);
}

TEST_F(BatchCommand, TheSameLineTwiceIsTwoPicturesAndTheSameSeedTwiceIsOne) {
  write_jobs("a fox\na fox\na fox --d 3\na fox --d 3\n");
  const nlohmann::json first = summary();
  EXPECT_EQ(first["drawn"], 3);
  EXPECT_EQ(first["skipped"], 1);
  fs::create_directory(directory_ / "fresh");
  const Outcome plan = brume(words({"--plan", "--json"}, "fresh"));
  EXPECT_EQ(nlohmann::json::parse(plan.out)["pictures"], 3);
}

TEST_F(BatchCommand, ForceDrawsEveryJobOnce) {
  std::string jobs;
  for (int i = 0; i < 12; ++i) jobs += "a fox --d " + std::to_string(i) + "\n";
  write_jobs(jobs + jobs);  // so far apart that the first is no longer on its way
  for (const Words& more : {Words{}, Words{"--force"}, Words{"--force"}}) {
    Words all{"--batch-size", "1"};
    all.insert(all.end(), more.begin(), more.end());
    const nlohmann::json told = summary(all);
    EXPECT_EQ(told["drawn"], 12);
    EXPECT_EQ(told["skipped"], 12);
  }
  EXPECT_EQ(pictures_by_key().size(), 12U);
  expect_error(batch({"--resume", "--force"}), 2, {"--force", "every job again", "leave one"});
}

/// Seeds in the order of the pictures, off their names.
std::vector<std::string> seeds_of(const Pictures& pictures) {
  std::vector<std::string> seeds;
  for (const auto& [name, bytes] : pictures) seeds.push_back(name.substr(6, name.size() - 10));
  return seeds;
}

/// Pictures of a sweep differ by what is swept alone; whoever lists words wants different pictures.
TEST_F(BatchCommand, ASweepKeepsItsSeed) {
  write_jobs(
      "{\"prompt\": \"a fox\", \"cfg_scale\": [1, 2, 3]}\n"
      "{\"cfg_scale\": [1, 2], \"prompt\": [\"a fox\", \"an owl\"]}\n"
      "{\"prompt\": \"a cat\", \"steps\": [1, 1], \"n_iter\": 2}\n"
      "--prompt \"a dog\" --batch_size 2 --seed 9\n");
  EXPECT_EQ(summary()["drawn"], 13);
  const std::vector<std::string> seeds = seeds_of(pictures());
  ASSERT_EQ(seeds.size(), 13U);
  EXPECT_EQ(seeds[0], seeds[1]);
  EXPECT_EQ(seeds[0], seeds[2]);
  EXPECT_EQ(seeds[3], seeds[5]);  // foxes
  EXPECT_EQ(seeds[4], seeds[6]);  // owls
  const std::set<std::string> all(seeds.begin(), seeds.end());
  EXPECT_EQ(all.size(), 3U + 4U + 2U);  // the fox of another line has its own; so have copies
  EXPECT_EQ(seeds[11], "9");
  EXPECT_EQ(seeds[12], "10");
  // Another line before them changes nothing.
  write_jobs("{\"prompt\": \"a hen\", \"cfg_scale\": [1, 2]}\n" + bytes_of("jobs.txt"));
  const nlohmann::json again = summary();
  EXPECT_EQ(again["drawn"], 2);
  EXPECT_EQ(again["skipped"], 13);
}

/// What the command line says is for jobs that do not say otherwise; it changes neither their seeds nor what
/// they ask for themselves.
TEST_F(BatchCommand, TheCommandLineDoesNotSpeakAgainstAJob) {
  write_jobs(
      "a fox\n--prompt \"a cat\" --sampler ddpm\n--prompt \"an owl\" --sampler \"DPM++ 2M Karras\"\n"
      "{\"prompt\": \"a dog\", \"scheduler\": \"9,3,1\"}\n");
  EXPECT_EQ(summary()["drawn"], 4);
  fs::create_directory(directory_ / "more");
  const Outcome outcome = batch({"--sampler", "euler", "--scheduler", "exponential"}, "more");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const Pictures plain = pictures();
  const Pictures more = pictures("more");
  ASSERT_EQ(more.size(), 4U);
  for (const auto& [name, bytes] : plain) EXPECT_TRUE(more.contains(name)) << name << " has another seed";
  EXPECT_EQ(summary({"--sampler", "euler_a", "--eta", "0.5"})["drawn"], 2);  // of the first and the last one
}

TEST_F(BatchCommand, WhatSuitsNoJobIsToldAtOnce) {
  write_jobs("a fox\n");
  expect_error(batch({"--sampler", "nothing"}), 2, {"nothing"});
  expect_error(batch({"--scheduler", "nothing"}), 2, {"nothing"});
  expect_error(batch({"--scheduler", "3,4"}), 2, {"3,4"});
  EXPECT_EQ(batch({"--scheduler", "automatic", "--plan"}).code, 0);
  expect_error(batch({"--sampler", "ddim", "--scheduler", "karras"}), 2, {"--scheduler karras"});
  expect_error(batch({"--sampler", "dpm++2m", "--eta", "1"}), 2, {"--eta"});
  expect_error(brume({"batch", "jobs.txt", "-o", "out", "-m", model("sd1").string(), "-W", "63"}), 2,
               {"--width 63"});
  EXPECT_FALSE(fs::exists(directory_ / "out/failed.jsonl"));
}

TEST_F(BatchCommand, WrongUseIsOneLine) {
  write_jobs("a fox\n");
  expect_error(brume({"batch"}), 2, {"job file is missing"});
  expect_error(brume({"batch", "--status"}), 2, {"--status", "names no directory"});
  expect_error(brume({"batch", "jobs.txt"}), 2, {"-o"});
  expect_error(batch({}, "nowhere"), 5, {"nowhere"});
  expect_error(batch({"--resume", "--force"}), 2, {"--force"});
  expect_error(batch({"--shard", "3/3"}), 2, {"3/3"});
  expect_error(batch({"--name", "{nothing}"}), 2, {"{nothing}"});
  expect_error(batch({"--batch-size", "0"}), 2, {"--batch-size"});
  expect_error(batch({"-m", "nothing"}), 2, {"-m"});
  fs::remove(directory_ / "jobs.txt");
  // Before a model is looked at, whose weights may take minutes to read.
  for (const char* jobs : {"jobs.txt", "a fox in snow"})
    expect_error(brume({"batch", jobs, "-o", "out", "-m", "nowhere"}), 4,
                 {jobs, "a file of jobs", "generate -p"});
  expect_error(brume({"batch", "out", "-o", "out", "-m", "nowhere"}), 4, {"out: is a directory"});
  write_jobs("--zz\n");
  EXPECT_EQ(batch().code, 4);
  EXPECT_EQ(pictures().size(), 0U);
}

TEST_F(BatchCommand, ADirectoryThatCannotBeWrittenToIsToldAtOnce) {
  write_jobs("a fox\n");
  fs::permissions(directory_ / "out", fs::perms::owner_read | fs::perms::owner_exec);
  const auto start = std::chrono::steady_clock::now();
  expect_error(run({.arguments = words({}), .directory = directory_, .obeys_modes = true}), 5, {"out"});
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 1);
  expect_error(brume(words({}, "jobs.txt")), 5, {"jobs.txt", "is no directory"});
  // Before the model is looked at.
  fs::create_directory(directory_ / "no model");
  expect_error(brume({"batch", "jobs.txt", "-o", "nowhere", "-m", "no model"}), 5, {"nowhere", "mkdir"});
}

TEST_F(BatchCommand, TheUnionOfShardsIsTheWhole) {
  write_mixed_jobs(14);
  EXPECT_EQ(batch({"--deterministic"}).code, 0);
  const Pictures whole = pictures_by_key();
  ASSERT_EQ(whole.size(), 14U);
  const bool all = std::getenv("BRUME_ALL_SHARDS") != nullptr;
  for (const int count : all ? std::vector{1, 2, 3, 7, 64} : std::vector{2, 7, 20}) {
    const std::string to = "shards" + std::to_string(count);
    fs::create_directory(directory_ / to);
    size_t drawn = 0;
    for (int i = 0; i < count; ++i) {
      const Outcome outcome =
          batch({"--deterministic", "--shard", std::to_string(i) + "/" + std::to_string(count)}, to);
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      drawn += lines_in(outcome.out);
    }
    EXPECT_EQ(drawn, 14U);
    EXPECT_EQ(pictures_by_key(to), whole) << count;
    const Outcome status = brume({"batch", "--status", to});
    EXPECT_EQ(status.out, "14 done, 0 failed\n");
  }
}

TEST_F(BatchCommand, ASecondRunOnTheSameJobsIsKeptAway) {
  write_jobs("a fox --s 900 --w 512 --h 512\n");
  Program first({.arguments = words({"--grace", "0"}), .directory = directory_});
  for (int i = 0; i < 500 && !fs::exists(directory_ / "out/brume-journal.jsonl"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  expect_error(batch(), 8, {"process"});
  EXPECT_EQ(batch({"--plan"}).code, 0);  // only looks
  first.send(SIGTERM);
  first.finish(60);
}

TEST_F(BatchCommand, APictureIsTheSameWithAnyNeighbours) {
  write_mixed_jobs(16);
  EXPECT_EQ(batch({"--deterministic", "--batch-size", "1"}).code, 0);
  const Pictures alone = pictures();
  ASSERT_EQ(alone.size(), 16U);
  for (const char* size : {"2", "3", "8"}) {
    const std::string to = std::string("together") + size;
    fs::create_directory(directory_ / to);
    EXPECT_EQ(batch({"--deterministic", "--batch-size", size}, to).code, 0);
    EXPECT_EQ(pictures(to), alone) << size;
  }
  // And what generate draws.
  EXPECT_EQ(generate({"-p", "a house 2", "-n", "rain", "-s", "2", "--cfg-scale", "3", "-o", "x.png"}).code,
            0);
  EXPECT_EQ(pixels("x.png"), pixels("out/00003_2.png"));
}

/// Where nobody asks for more, all but a thousandth of the values are within one of 255.
TEST_F(BatchCommand, APictureIsNearlyTheSameWithAnyNeighbours) {
  write_mixed_jobs(16);
  EXPECT_EQ(batch({"--batch-size", "1"}).code, 0);
  for (const char* size : {"2", "3", "8"}) {
    const std::string to = std::string("together") + size;
    fs::create_directory(directory_ / to);
    EXPECT_EQ(batch({"--batch-size", size}, to).code, 0);
    size_t values = 0;
    size_t far = 0;
    for (const auto& [name, bytes] : pictures()) {
      const std::vector<uint8_t> alone = pixels("out/" + name);
      const std::vector<uint8_t> together = pixels(to + "/" + name);
      ASSERT_EQ(alone.size(), together.size()) << name;
      values += alone.size();
      for (size_t i = 0; i < alone.size(); ++i) far += std::abs(alone[i] - together[i]) > 1 ? 1 : 0;
    }
    EXPECT_GT(values, 100000U);
    EXPECT_LE(far * 1000, values) << size;
  }
}

TEST_F(BatchCommand, WorkersDrawTheSamePicturesAndMayDie) {
  write_mixed_jobs(24);
  fs::create_directory(directory_ / "workers");
  EXPECT_EQ(batch({"--deterministic"}).code, 0);
  Words all = words({"--deterministic", "--devices", "cpu:2"}, "workers");
  Program program({.arguments = all, .directory = directory_});
  ASSERT_TRUE(program.wait_for(".png\n", 60));
  EXPECT_EQ(std::system(("pkill -KILL -f -o 'worker -m " + model("sd1").string() + " .*' -P " +
                         std::to_string(program.pid()))
                            .c_str()),
            0);
  const Outcome outcome = program.finish(120);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(lines_in(outcome.out), 24U);
  EXPECT_EQ(pictures("workers"), pictures());
}

/// Neither kill -9 nor a second signal leaves anyone at work.
TEST_F(BatchCommand, WorkersEndWithTheirBatch) {
  write_jobs("a cat --s 1\na fox\nan owl\n");  // once the cat is drawn, the others are on their way
  const std::string pattern = "[w]orker -m " + model("sd1").string() + " .* --grace 3600";
  const auto at_work = [&] { return std::system(("pgrep -f '" + pattern + "' >/dev/null").c_str()) == 0; };
  const Words more{"--steps", "900",       "-W",    "256",        "-H",    "256",    "--grace",
                   "3600",    "--devices", "cpu:2", "--progress", "jsonl", "--force"};
  for (const bool killed : {true, false}) {
    Words all = words({});
    all.resize(6);
    all.insert(all.end(), more.begin(), more.end());
    Program program({.arguments = all, .directory = directory_});
    ASSERT_TRUE(program.wait_for("\"drawn\",", 120));
    EXPECT_TRUE(at_work());
    program.send(killed ? SIGKILL : SIGTERM);
    if (!killed) {
      EXPECT_TRUE(program.runs_for(1));
      program.send(SIGTERM);
    }
    program.finish(10);
    for (int i = 0; i < 20 && at_work(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_FALSE(at_work());
  }
}

/// The processes that `program` started.
std::set<pid_t> children_of(const Program& program) {
  std::set<pid_t> children;
  std::FILE* const list = ::popen(("pgrep -P " + std::to_string(program.pid())).c_str(), "r");
  for (int pid = 0; std::fscanf(list, "%d", &pid) == 1;) children.insert(pid);
  ::pclose(list);
  return children;
}

/// While there is nothing to draw, so that each start of the one that is killed draws nothing.
TEST_F(BatchCommand, AWorkerThatCannotLiveIsGivenUpAndTheOtherGoesOn) {
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  Words all = words({"--devices", "cpu:2", "--progress", "jsonl", "--json"});
  all[1] = "pipe";
  Program program({.arguments = all, .directory = directory_});
  const int pipe = ::open((directory_ / "pipe").c_str(), O_WRONLY);
  ASSERT_GE(pipe, 0);
  const std::string two_jobs = "a fox\nan elk\n";  // one for each: no more are started
  ASSERT_EQ(::write(pipe, two_jobs.data(), two_jobs.size()), static_cast<ssize_t>(two_jobs.size()));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(program.wait_for("\"drawn\",", 120));
  std::set<pid_t> both;
  for (int i = 0; i < 600 && both.size() < 2; ++i) {
    ASSERT_TRUE(program.runs_for(0.1));
    both = children_of(program);
  }
  ASSERT_EQ(both.size(), 2U);
  const pid_t survivor = *both.begin();
  for (int i = 0; i < 1200 && !program.wait_for("given_up", 0.05); ++i) {
    for (const pid_t child : children_of(program)) {
      if (child != survivor) ::kill(child, SIGKILL);
    }
  }
  ASSERT_EQ(::write(pipe, "an owl\n", 7), 7);
  ::close(pipe);
  const Outcome outcome = program.finish(120);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(pictures().size(), 3U);
  const nlohmann::json summary = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(summary["drawn"], 3);
  ASSERT_EQ(summary["given_up"].size(), 1U) << summary;
  EXPECT_EQ(summary["given_up"][0]["device"], "cpu");
  EXPECT_NE(summary["given_up"][0]["reason"].get<std::string>().find("signal 9"), std::string::npos)
      << summary;
  std::istringstream lines(outcome.err);
  size_t told = 0;
  for (std::string line; std::getline(lines, line);) {
    told += nlohmann::json::parse(line)["event"] == "given_up" ? 1 : 0;
  }
  EXPECT_EQ(told, 1U) << outcome.err;
}

TEST_F(BatchCommand, DevicesAreAList) {
  write_jobs("a fox\nan owl\na house\n");
  for (const char* devices : {"cpu", "cpu,cpu", "cpu:2,cpu", "cpu:1,cpu:1"}) {
    const Outcome outcome = batch({"--force", "--devices", devices});
    EXPECT_EQ(outcome.code, 0) << devices << outcome.err;
    EXPECT_EQ(lines_in(outcome.out), 3U) << devices;
  }
  for (const char* devices : {"cpu:0", "cpu:257", "cpu:", "cpu:2 ", "gpu", "cpu,", ",cpu", "cpu,,cpu", "CPU"})
    expect_error(batch({"--devices", devices}), 2, {"--devices", "is none of cpu, cpu:N"});
  expect_error(batch({"--devices", "cpu:256,cpu"}), 2, {"cpu:256,cpu", "more than 256"});
  expect_error(batch({"--devices", "cpu,cuda"}), 2, {"cpu,cuda", "names both"});
  expect_error(batch({"--devices", "cpu:2", "--device", "cpu"}), 2,
               {"--devices cpu:2", "beside --device cpu"});
  if (!fs::exists("/dev/nvidiactl"))
    expect_error(batch({"--devices", "cuda:0"}), 2, {"--device cuda:0", "there is no NVIDIA driver"});
}

TEST_F(BatchCommand, TheSummaryCountsWhatWorkersUse) {
  write_mixed_jobs(8);
  fs::create_directory(directory_ / "workers");
  const nlohmann::json alone = summary();
  const Outcome outcome = batch({"--devices", "cpu:2", "--json"}, "workers");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json together = nlohmann::json::parse(outcome.out);
  for (const char* field : {"load_ms", "text_encode_ms", "denoise_ms", "vae_decode_ms", "write_ms"}) {
    EXPECT_GT(alone[field], 0) << field;
    EXPECT_GT(together[field], 0) << field;
  }
  EXPECT_EQ(together["steps"], alone["steps"]);
  EXPECT_GT(together["peak_memory_bytes"], alone["peak_memory_bytes"]);
}

TEST_F(BatchCommand, JobsAreDrawnAsTheyArrive) {
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  Words all = words({});
  all[1] = "pipe";
  Program program({.arguments = all, .directory = directory_});
  const int pipe = ::open((directory_ / "pipe").c_str(), O_WRONLY);
  ASSERT_GE(pipe, 0);
  ASSERT_EQ(::write(pipe, "a fox\n", 6), 6);
  EXPECT_TRUE(program.wait_for(".png\n", 60));
  ASSERT_EQ(::write(pipe, "an owl\n", 7), 7);
  EXPECT_TRUE(program.wait_for("00002", 60));
  // Waiting for more, it stops at once.
  program.send(SIGTERM);
  EXPECT_EQ(program.finish(10).code, kSignalled + SIGTERM);
  ::close(pipe);
  EXPECT_EQ(pictures().size(), 2U);
}

/// At random instants: of its start, while it draws, at its end.
TEST_F(BatchCommand, EveryStopLeavesACleanJournal) {
  const char* const wanted = std::getenv("BRUME_STOPS");
  const int stops = wanted != nullptr ? std::atoi(wanted) : 8;
  const int jobs = 12 * stops;
  write_mixed_jobs(jobs);
  const double patience = 60 + jobs;  // where many are asked for
  std::minstd_rand random(5);
  int stopped = 0;
  double slowest = 0;
  for (int i = 0; stopped < stops && pictures().size() < static_cast<size_t>(jobs); ++i) {
    const int signal = std::array{SIGTERM, SIGINT, SIGUSR1}[static_cast<size_t>(i % 3)];
    Program program({.arguments = words({"--deterministic", "--grace", "0"}), .directory = directory_});
    if (i % 2 == 0) program.wait_for(".png\n", 60);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % (i % 2 == 0 ? 60 : 400)));
    const auto sent = std::chrono::steady_clock::now();
    program.send(signal);
    const Outcome outcome = program.finish(patience);
    slowest =
        std::max(slowest, std::chrono::duration<double>(std::chrono::steady_clock::now() - sent).count());
    // One that has not begun to look for signals dies of it, which shells tell as the same number.
    const bool ended_by_it = outcome.code == kSignalled + signal || outcome.signal == signal;
    EXPECT_TRUE(ended_by_it || outcome.code == 0) << outcome.code << outcome.err;
    stopped += ended_by_it ? 1 : 0;
    if (!fs::exists(directory_ / "out/brume-journal.jsonl")) continue;
    const Outcome status = brume({"batch", "--status", "--json", "out"});
    const nlohmann::json told = nlohmann::json::parse(status.out);
    EXPECT_EQ(told["done"], pictures().size());
    EXPECT_TRUE(told["unfinished"] == 1 || pictures().size() == static_cast<size_t>(jobs)) << told;
    EXPECT_EQ(told["remarks"].size(), told["unfinished"].get<size_t>()) << told;  // nothing of damaged lines
  }
  EXPECT_EQ(stopped, stops) << "all was drawn before";
  // A step takes some milliseconds, but the machine may have much else to do.
  constexpr double kMostSeconds = 10;
  EXPECT_LT(slowest, kMostSeconds);
  EXPECT_EQ(batch({"--deterministic"}, "out", patience).code, 0);
  EXPECT_EQ(pictures_by_key().size(), static_cast<size_t>(jobs));
  std::printf("%d stops, %d pictures, the slowest stop %.2f s\n", stopped, jobs, slowest);
}

/// At random instants; after each the run goes on. Nothing is lost, nothing is drawn twice, and in the end
/// every byte is that of a run nobody disturbed.
TEST_F(BatchCommand, KilledAtAnyInstantItLosesAndRepeatsNothing) {
  const char* const wanted = std::getenv("BRUME_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 50;
  const int jobs = 8 * kills;
  write_mixed_jobs(jobs);
  fs::create_directory(directory_ / "whole");
  const double patience = 60 + jobs;
  ASSERT_EQ(batch({"--deterministic"}, "whole", patience).code, 0);
  const Pictures whole = pictures("whole");
  ASSERT_EQ(whole.size(), static_cast<size_t>(jobs));
  std::minstd_rand random(7);
  int killed = 0;
  std::string printed;
  for (int i = 0; killed < kills && i < 2 * kills; ++i) {
    Program program({.arguments = words({"--deterministic"}), .directory = directory_});
    // Half of them while it draws, half of them at its start.
    if (i % 2 == 0) program.wait_for(".png\n", 60);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % (i % 2 == 0 ? 30 : 300)));
    program.send(SIGKILL);
    const Outcome outcome = program.finish(60);
    killed += outcome.signal == SIGKILL ? 1 : 0;
    printed += outcome.out;
  }
  const Outcome last = batch({"--deterministic", "--resume"}, "out", patience);
  EXPECT_EQ(last.code, 0) << last.err;
  printed += last.out;
  EXPECT_EQ(pictures(), whole);
  std::map<std::string, int> times;
  std::istringstream paths(printed);
  for (std::string path; std::getline(paths, path);) ++times[path];
  for (const auto& [path, count] : times) EXPECT_EQ(count, 1) << path;
  EXPECT_EQ(killed, kills) << "all was drawn before";
  std::printf("%d kills, %zu pictures, 0 lost, 0 repeated\n", killed, whole.size());
}

/// A line of /proc/PID/status, in KiB.
int64_t status_of(pid_t pid, const std::string& field) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1));
  }
  return -1;
}

TEST_F(BatchCommand, ManyJobsTakeNoMoreMemoryThanAFew) {
  const char* const wanted = std::getenv("BRUME_JOBS");
  const int jobs = wanted != nullptr ? std::atoi(wanted) : 3000;
  std::ofstream lines(directory_ / "jobs.txt");
  for (int i = 1; i <= jobs; ++i) lines << "picture number " << i << " --d " << i << "\n";
  lines.close();
  // So many as are asked for are drawn by the embedded model, as people have it; else by one that takes a
  // millisecond.
  Words command = wanted != nullptr ? Words{"batch", "jobs.txt", "-o", "out", "--steps", "2"} : words({});
  Program program({.arguments = command, .directory = directory_});
  const auto descriptors = [&] {
    const fs::directory_iterator open("/proc/" + std::to_string(program.pid()) + "/fd");
    return std::distance(begin(open), end(open));
  };
  const auto name_of = [](int number) {
    const std::string digits = std::to_string(number);
    return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits + "_" + digits + ".png\n";
  };
  // What a picture at work holds comes and goes by MiB: the mean of many looks tells. Pages of files, such as
  // libtorch's code, are left out: they come and go with what else the machine does.
  const auto mean_memory = [&](int first, int last) {
    double sum = 0;
    int looks = 0;
    for (int number = first; number <= last; number += 2, ++looks) {
      if (!program.wait_for(name_of(number), 600)) throw std::runtime_error("it ended early");
      sum += static_cast<double>(status_of(program.pid(), "RssAnon"));
    }
    return sum / looks;
  };
  // The first find their places in the heap, a MiB or two; of all that were asked for, the hundredth counts.
  const int settled = wanted != nullptr ? 100 : std::min(1000, jobs / 3);
  const int window = std::min(1000, jobs / 5);
  const int middle = (settled + jobs - 20 - window) / 2;
  const double early = mean_memory(settled, settled + window);
  const auto early_descriptors = descriptors();
  const double between = mean_memory(middle, middle + window);
  const double late = mean_memory(jobs - 20 - window, jobs - 20);
  const auto late_descriptors = descriptors();
  EXPECT_EQ(program.finish(600).code, 0);
  std::printf(
      "means of %d pictures from %d on, in the middle and at the end of %d: %+.0f KiB, then %+.0f KiB; "
      "descriptors %lld to %lld\n",
      window, settled, jobs, between - early, late - between, static_cast<long long>(early_descriptors),
      static_cast<long long>(late_descriptors));
  // What is lost with each picture is lost in both; what is taken once, as when two phases are at their
  // largest at the same time (5 MiB on a busy machine), is in one.
  EXPECT_LE(std::min(between - early, late - between), 512);
  if (wanted != nullptr) {
    EXPECT_LE(late - early, 1024);
  }
  EXPECT_LE(late_descriptors, early_descriptors + 1);  // a picture being written

  // One line of so many is changed: one picture is drawn.
  std::string text = bytes_of("jobs.txt");
  const std::string line = "picture number " + std::to_string(jobs / 2);
  text.replace(text.find(line + " "), line.size(), "another picture");
  write_jobs(text);
  command.emplace_back("--json");
  const nlohmann::json again = nlohmann::json::parse(brume(command).out);
  EXPECT_EQ(again["drawn"], 1);
  EXPECT_EQ(again["skipped"], jobs - 1);
}

TEST_F(BatchCommand, ThePlanDrawsNothingAndRefusesWhatCannotFit) {
  write_mixed_jobs(8);
  const nlohmann::json plan = planned();
  EXPECT_EQ(plan["pictures"], 8);
  EXPECT_GT(plan["seconds"], 0);
  EXPECT_GT(plan["memory_bytes"], 1e8);  // a process with libtorch, though the model is tiny
  EXPECT_GT(plan["disk_bytes"], 8.0 * 3 * 48 * 64);
  EXPECT_TRUE(fs::is_empty(directory_ / "out"));
  // So many at once are too large for any machine, but not for the program.
  write_jobs("a fox\nx --w 9984 --h 9984\n");
  const Outcome refused = batch({"--plan", "--batch-size", "1024", "-b", "500"});
  EXPECT_EQ(refused.code, 6) << refused.err;
  EXPECT_NE(refused.err.find("1000 pictures"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("of memory"), std::string::npos) << refused.err;
  EXPECT_EQ(refused.err.find("do not fit the model"), std::string::npos) << refused.err;
}

TEST_F(BatchCommand, APlanForAFullDiskIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts a file system";
  write_jobs("a fox\n");
  const fs::path full = directory_ / "full";
  fs::create_directory(full);
  if (::mount("none", full.c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "may not mount";
  std::ofstream(full / "all") << std::string(100'000, 'x');
  const Outcome refused = batch({"--plan"}, "full");
  ::umount(full.c_str());
  EXPECT_EQ(refused.code, 5) << refused.err;
  EXPECT_NE(refused.err.find("the pictures may take"), std::string::npos) << refused.err;
}

/// A record goes where the next run looks for it, or the run ends.
TEST_F(BatchCommand, AJournalThatIsRemovedEndsTheRun) {
  write_mixed_jobs(40);
  Program program({.arguments = words({}), .directory = directory_});
  ASSERT_TRUE(program.wait_for(".png", 60));
  fs::remove(directory_ / "out" / "brume-journal.jsonl");
  const Outcome outcome = program.finish(60);
  EXPECT_EQ(outcome.code, 5) << outcome.err;
  EXPECT_NE(outcome.err.find("brume-journal.jsonl: was removed while the batch ran"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(batch().code, 0);
}

/// Weights of many GB are not read for it: what a run found is noted beside its pictures.
TEST_F(BatchCommand, APlanReadsNoWeightsAndSaysWhatItDoesNotKnow) {
  const fs::path own = copy_of("sd1");
  const auto of_own = [&](const Words& more) {
    Words all = words(more);
    std::replace(all.begin(), all.end(), model("sd1").string(), own.string());
    return brume(all);
  };
  const auto plan = [&](int pictures, bool knows) {
    const Outcome outcome = of_own({"--plan", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const nlohmann::json told = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(told["pictures"], pictures);
    EXPECT_EQ(told["knows_what_is_there"], knows);
    EXPECT_EQ(outcome.err.find("no run has read this model") == std::string::npos, knows) << outcome.err;
  };
  write_jobs("a fox\nan owl\n");
  plan(2, true);  // nothing is there
  EXPECT_EQ(of_own({}).code, 0);
  write_jobs("a fox\nan owl\na cat\n");
  plan(1, true);
  // The same bytes, but only who reads them can tell.
  fs::path weights;
  for (const auto& entry : fs::recursive_directory_iterator(own / "unet"))
    if (entry.path().extension() == ".safetensors") weights = entry.path();
  fs::last_write_time(weights, fs::last_write_time(weights) + std::chrono::seconds(5));
  plan(3, false);
  EXPECT_EQ(lines_in(of_own({}).out), 1U);
  plan(0, true);
  std::ofstream(directory_ / "out/.brume-model.json") << "[1]";
  plan(3, false);
  // Pictures without a journal are there too: a run finds them by their keys.
  fs::remove(directory_ / "out/brume-journal.jsonl");
  plan(3, false);
}

/// The weights are in each job's key, which says whose it is.
TEST_F(BatchCommand, APlanOfAShardSaysWhatItDoesNotKnow) {
  std::string jobs;
  for (int i = 0; i < 40; ++i) jobs += "fox " + std::to_string(i) + "\n";
  write_jobs(jobs);
  for (const char* shard : {"0/4", "3/4"}) {
    const Outcome outcome = batch({"--plan", "--json", "--shard", shard});
    const nlohmann::json plan = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(plan["knows_its_share"], false);
    EXPECT_EQ(plan["pictures"], 10);
    EXPECT_EQ(plan["steps"], 20);
    EXPECT_NE(outcome.err.find("an average share of 4,"), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(planned()["knows_its_share"], true);
  int all = 0;
  for (const char* shard : {"0/4", "1/4", "2/4", "3/4"}) {
    const nlohmann::json drawn = summary({"--shard", shard});
    all += drawn["drawn"].get<int>();
    const std::string journal = "out/brume-journal." + std::string(shard, 1) + "-of-4.jsonl";
    std::ofstream(directory_ / journal) << "";  // as if nothing had been drawn, but the model is known
    for (const auto& [name, bytes] : pictures()) fs::remove(directory_ / "out" / name);
    const nlohmann::json plan = planned({"--shard", shard});
    EXPECT_EQ(plan["knows_its_share"], true);
    EXPECT_EQ(plan["pictures"], drawn["drawn"]);
  }
  EXPECT_EQ(all, 40);
}

TEST_F(BatchCommand, APlanOfBadLinesEndsAsTheirRun) {
  for (const auto& [lines, code] : {std::pair("--zz\n--yy\n", 4),
                                    {"--zz\na fox\n", 1},
                                    {"--zz\na fox --w 60\n", 1},
                                    {"# nothing\n", 0}}) {
    write_jobs(lines);
    EXPECT_EQ(batch({"--plan"}).code, code) << lines;
    EXPECT_EQ(batch().code, code) << lines;
  }
}

TEST_F(BatchCommand, APlanCountsWhatIsAskedFor) {
  // So many steps, pictures and pixels that the measured speed of a busy machine does not hide them.
  write_jobs("a fox\na cat\n");
  const nlohmann::json two = planned({"--batch-size", "4"});
  EXPECT_EQ(two["steps"], 4);
  const nlohmann::json more = planned({"--batch-size", "4", "-b", "500"});
  EXPECT_EQ(more["pictures"], 1000);
  EXPECT_GT(more["seconds"], two["seconds"]);
  EXPECT_GT(more["memory_bytes"], two["memory_bytes"]);  // four in a call
  write_jobs("--prompt fox --steps 900\n--prompt cat --steps 900\n");
  const nlohmann::json longer = planned({"--batch-size", "4"});
  EXPECT_EQ(longer["steps"], 1800);
  EXPECT_GT(longer["seconds"], two["seconds"]);
  write_jobs("a fox --w 512 --h 512\na cat --w 512 --h 512\n");
  const nlohmann::json larger = planned({"--batch-size", "4"});
  EXPECT_GT(larger["seconds"], two["seconds"]);
  EXPECT_GT(larger["memory_bytes"], two["memory_bytes"]);
  EXPECT_GT(larger["disk_bytes"], two["disk_bytes"]);
}

TEST_F(BatchCommand, APlanHearsOfThreadsAndWorkers) {
  write_jobs("a fox\na cat\nan owl\n");
  const double one = planned({"--batch-size", "1", "--devices", "cpu:1"})["memory_bytes"];
  const double two = planned({"--batch-size", "1", "--devices", "cpu:2"})["memory_bytes"];
  const double three = planned({"--batch-size", "1", "--devices", "cpu:3"})["memory_bytes"];
  EXPECT_GT(two, 1.5 * one);  // the parent is there once
  EXPECT_NEAR(three - two, two - one, 0.05 * one);
  EXPECT_EQ(planned({"-t", "1"})["threads"], 1);
  const int most = std::thread::hardware_concurrency() > 1 ? 2 : 1;
  EXPECT_EQ(planned({"-t", "2"})["threads"], most);
  EXPECT_EQ(planned({"--devices", "cpu:2"})["processes"], 2);
  EXPECT_EQ(planned({"--devices", "cpu:200"})["processes"], 3);  // no more than pictures
}

TEST_F(BatchCommand, APromptThatIsCutIsTold) {
  std::string words;
  for (int i = 0; i < 300; ++i) words += "fox ";
  write_jobs("a fox\n" + words + "\n");
  const Outcome outcome = batch({"--compat", "diffusers"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.err.find("line 2: the prompt is too long for this model; its last"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(outcome.err.find("line 1:"), std::string::npos);
}

TEST_F(BatchCommand, AFileWithTheNameOfStandardInputIsNotAskedAnything) {
  write_jobs("a fox\nan owl\n");
  std::ofstream(directory_ / "-") << "";
  Words all = words({});
  all[1] = "-";
  std::string line = "cd " + directory_.string() + " && cat jobs.txt | " + BRUME_PROGRAM;
  for (const std::string& word : all) line += " " + word;
  EXPECT_EQ(std::system((line + " > paths 2> errors").c_str()), 0) << bytes_of("errors");
  EXPECT_EQ(pictures().size(), 2U);
}

TEST_F(BatchCommand, EventsAreJsonLinesAndNothingElseIs) {
  write_jobs("a fox\na cat --w 60\n--zz\nan owl --steps 900\n");
  const Outcome outcome = batch({"--progress", "jsonl", "-v"});
  std::map<std::string, int> events;
  std::istringstream lines(outcome.err);
  nlohmann::json last;
  for (std::string line; std::getline(lines, line);) {
    last = nlohmann::json::parse(line);  // throws for what is none
    ++events[last.at("event")];
  }
  EXPECT_EQ(last["event"], "end");
  EXPECT_EQ(last["drawn"], 2);
  EXPECT_GE(events["note"], 1);
  for (const auto& [name, count] : {std::pair("start", 1), {"drawn", 2}, {"failed", 1}, {"bad_line", 1}})
    EXPECT_EQ(events[name], count) << name;

  for (const Words& more : {Words{"--plan"}, Words{"--devices", "cpu:2", "--vae-tiling"}}) {
    Words all = more;
    all.insert(all.end(), {"--progress", "jsonl"});
    std::istringstream events_of_it(batch(all).err);
    for (std::string line; std::getline(events_of_it, line);)
      EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  }
  const Outcome refused = brume(words({"--progress", "jsonl"}, "nowhere"));
  EXPECT_EQ(refused.code, 5);
  EXPECT_EQ(nlohmann::json::parse(refused.err)["event"], "error");
  std::istringstream of_shard(brume(words({"--progress", "jsonl", "--shard", "0/2"})).err);
  std::string start;
  std::getline(of_shard, start);
  EXPECT_EQ(nlohmann::json::parse(start), nlohmann::json::parse(R"({"event": "start", "pictures": 2})"));
  const Outcome contrary = batch({"--progress", "jsonl", "--resume", "--force"});
  EXPECT_EQ(contrary.code, 2);
  EXPECT_EQ(nlohmann::json::parse(contrary.err)["code"], 2);
  for (const Words& wrong :
       {Words{"--progress", "jsonl", "--steps", "x"}, Words{"--progress=jsonl", "--bogus"}}) {
    const Outcome usage = batch(wrong);
    EXPECT_EQ(usage.code, 2);
    EXPECT_EQ(nlohmann::json::parse(usage.err)["event"], "error") << usage.err;
  }
}

/// From the first steps on, before a picture is done.
TEST_F(BatchCommand, EventsTellHowLongItTakes) {
  write_jobs("a fox --s 150 --w 128 --h 128\nan owl --s 300 --w 128 --h 128\n");
  const Outcome outcome = batch({"--progress", "jsonl"}, "out", 300);
  std::istringstream lines(outcome.err);
  int told = 0;
  double last = 0;
  bool drawn = false;
  int before_any = 0;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json event = nlohmann::json::parse(line);
    drawn |= event["event"] == "drawn";
    if (event["event"] != "progress" || !event.contains("eta_seconds")) continue;
    ++told;
    before_any += drawn ? 0 : 1;
    last = event["eta_seconds"];
    EXPECT_GE(last, 0);
    EXPECT_GE(event["pictures_per_minute"], 0);
  }
  EXPECT_GT(told, 0);
  EXPECT_GT(before_any, 0);
  EXPECT_LT(last, 60);
}

}  // namespace
}  // namespace brume::testing
