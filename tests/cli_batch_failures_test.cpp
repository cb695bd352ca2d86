#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <sstream>

#include "cli_batch_fixture.h"

// brume batch where jobs, writes and runs fail.
namespace brume::testing {
namespace {

namespace fs = std::filesystem;

class BatchFailures : public BatchCommand {
 protected:
  static Words words_for(const std::string& jobs, const Words& more = {}) {
    Words all = words(more);
    all[1] = jobs;
    return all;
  }
  /// The prompts of the list, in order.
  std::vector<std::string> listed() const {
    std::vector<std::string> prompts;
    std::ifstream lines(directory_ / "out/failed.jsonl");
    for (std::string line; std::getline(lines, line);)
      prompts.push_back(nlohmann::json::parse(line).at("prompt"));
    return prompts;
  }
};
using Prompts = std::vector<std::string>;

TEST_F(BatchFailures, BadLinesAndFailuresAreListedAndTheRestGoesOn) {
  write_jobs("a fox\na fox --zz 3\na cat --w 60\n{\"prompt\": 3}\na dog --d 4\n");
  const Outcome outcome = batch();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(pictures().size(), 2U);
  for (const char* part : {"line 2", "line 3 failed", "--width 60", "line 4"})
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n" << outcome.err;
  // The list of failures is a job file: mended on the command line of an editor, it is drawn.
  const std::string failed = bytes_of("out/failed.jsonl");
  EXPECT_EQ(lines_in(failed), 1U);
  EXPECT_EQ(nlohmann::json::parse(failed)["prompt"], "a cat");
  EXPECT_EQ(nlohmann::json::parse(failed)["_from"], (directory_ / "jobs.txt").string());
  std::ofstream(directory_ / "jobs.txt") << nlohmann::json::parse(failed).patch(
      nlohmann::json::parse(R"([{"op": "replace", "path": "/width", "value": 64}])"));
  EXPECT_EQ(batch().code, 0);
  EXPECT_EQ(pictures().size(), 3U);
  EXPECT_FALSE(fs::exists(directory_ / "out/failed.jsonl"));
}

/// How much memory is free differs between the machines of shards: each must tell of its own.
class ShardsWithoutMemory : public BatchFailures {
 protected:
  void SetUp() override {
    BatchFailures::SetUp();
    large_ = copy_of("sd1");
    edit_json(large_ / "vae/config.json",
              [](nlohmann::json& config) { config["block_out_channels"][1] = 1 << 24; });
    write_jobs("a fox\nan owl\na cat\na dog\na house\na boat\n");
    for (const char* shard : {"0/2", "1/2"}) {
      const Outcome outcome = brume(of_large(words({"--shard", shard})));
      EXPECT_EQ(outcome.code, 1) << outcome.err;
      EXPECT_NE(outcome.err.find("of memory"), std::string::npos) << outcome.err;
    }
    EXPECT_EQ(lines_in(bytes_of(kZero)) + lines_in(bytes_of(kOne)), 6U);
  }
  Words of_large(Words all) const {
    std::replace(all.begin(), all.end(), model("sd1").string(), large_.string());
    return all;
  }
  nlohmann::json status() const {
    const Outcome outcome = brume({"batch", "--status", "--json", "out"});
    auto told = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(outcome.code, told["failed"] == 0 ? 0 : 1);
    return told;
  }

  static constexpr const char* kZero = "out/failed.0-of-2.jsonl";
  static constexpr const char* kOne = "out/failed.1-of-2.jsonl";
  fs::path large_;
};

TEST_F(ShardsWithoutMemory, TheirFailuresAreCountedTogether) {
  EXPECT_EQ(status()["failed"], 6);
  EXPECT_EQ(status()["failures"].size(), 6U);
}

TEST_F(ShardsWithoutMemory, AllTheirListsAreDrawnAtOnce) {
  Words all = words({"--progress", "jsonl"});
  all[1] = kZero;
  all.insert(all.begin() + 2, kOne);
  const Outcome outcome = brume(all);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(pictures().size(), 6U);
  EXPECT_NE(outcome.err.find(R"("file":"out/failed.1-of-2.jsonl")"), std::string::npos) << outcome.err;
  for (const char* list : {kZero, kOne, "out/failed.jsonl"})
    EXPECT_FALSE(fs::exists(directory_ / list)) << list;
  EXPECT_EQ(status()["failed"], 0);
  EXPECT_EQ(status()["done"], 6);
}

TEST_F(ShardsWithoutMemory, ARunOfTheWholeMakesThemOneList) {
  // From the lists themselves: each job keeps the name of its file.
  Words all = words({});
  all[1] = kOne;
  all.insert(all.begin() + 2, kZero);
  EXPECT_EQ(brume(of_large(all)).code, 1);
  for (const char* list : {kZero, kOne}) EXPECT_FALSE(fs::exists(directory_ / list)) << list;
  EXPECT_EQ(listed().size(), 6U);
  EXPECT_EQ(status()["failed"], 6);
  std::istringstream lines(bytes_of("out/failed.jsonl"));
  for (std::string line; std::getline(lines, line);)
    EXPECT_EQ(nlohmann::json::parse(line)["_from"], (directory_ / "jobs.txt").string());
  // From the job file, and of other jobs meanwhile.
  std::ofstream(directory_ / "others.txt") << "a crow\n";
  EXPECT_EQ(brume(words_for("others.txt")).code, 0);
  EXPECT_EQ(status()["failed"], 6);
  EXPECT_EQ(batch().code, 0);
  EXPECT_FALSE(fs::exists(directory_ / "out/failed.jsonl"));
  EXPECT_EQ(status()["failed"], 0);
}

TEST_F(ShardsWithoutMemory, ARunThatIsStoppedLeavesThemToTheSameCommand) {
  const std::string zero = bytes_of(kZero);
  std::ofstream(directory_ / kZero) << zero.substr(0, zero.find('\n') + 1);
  const std::string one = bytes_of(kOne);
  Words all = words({});
  all[1] = kZero;
  all.insert(all.begin() + 2, kOne);
  Words first = of_large(all);
  first.emplace_back("--fail-fast");  // ends as a stop does, after the one line of the first list
  EXPECT_EQ(brume(first).code, 1);
  ASSERT_TRUE(fs::exists(directory_ / kZero)) << "a job file of the command is gone";
  EXPECT_EQ(bytes_of(kZero), "");
  EXPECT_EQ(bytes_of(kOne), one);
  EXPECT_EQ(listed().size(), 1U);
  EXPECT_EQ(brume(all).code, 0);
  EXPECT_EQ(pictures().size(), lines_in(one));
  for (const char* list : {kZero, kOne}) EXPECT_FALSE(fs::exists(directory_ / list)) << list;
}

TEST_F(BatchFailures, LinesOfSeveralFilesAreToldWithTheirFile) {
  write_jobs("a fox\n--zz\n");
  std::ofstream(directory_ / "more.txt") << "\na cat --w 60\n";
  Words all = words({});
  all.insert(all.begin() + 2, "more.txt");
  const Outcome outcome = brume(all);
  EXPECT_EQ(outcome.code, 1);
  for (const char* part : {"jobs.txt line 2: ", "more.txt line 2 failed: "})
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(bytes_of("out/failed.jsonl"))["_from"], (directory_ / "more.txt").string());
  all[2] = "nowhere.txt";
  expect_error(brume(all), 4, {"nowhere.txt"});
}

/// A service or a cron job may be started without them; the journal must not become one of them.
TEST_F(BatchFailures, ClosedStreamsLeaveTheJournalClean) {
  write_jobs("a fox\na cat --w 60\nan owl\n");
  std::string line = "cd " + directory_.string() + " && exec " + BRUME_PROGRAM;
  for (const std::string& word : words({"--progress", "bar"})) line += " " + word;
  EXPECT_EQ(WEXITSTATUS(std::system((line + " <&- 2>&- >paths").c_str())), 1);
  EXPECT_EQ(lines_in(bytes_of("out/brume-journal.jsonl")), 2U) << bytes_of("out/brume-journal.jsonl");
  const Outcome status = brume({"batch", "--status", "--json", "out"});
  const auto remarks = nlohmann::json::parse(status.out)["remarks"];
  ASSERT_EQ(remarks.size(), 1U) << status.out;  // nothing of damaged lines
  EXPECT_EQ(nlohmann::json::parse(status.out)["listed"], 1);
  EXPECT_EQ(status.code, 1);
  EXPECT_NE(remarks[0].get<std::string>().find("out/failed.jsonl lists 1 job"), std::string::npos);
  // Jobs that cannot be read are not no jobs.
  line.replace(line.find("jobs.txt"), 8, "-");
  EXPECT_EQ(WEXITSTATUS(std::system((line + " <&- >paths 2>errors").c_str())), 4) << bytes_of("errors");
}

/// A reason may quote what it speaks of.
TEST_F(BatchFailures, AReasonIsShortHoweverLongItsLineIs) {
  const std::string much(60'000, 'x');
  const std::string path(4'000, 'x');
  write_jobs("a fox <lora:" + much + ":1>\n{\"prompt\": \"an owl\", \"init_img\": \"" + path + "\"}\n{\"" +
             much + "\": 1}\na cat\n");
  const Outcome outcome = batch({"--lora-model-dir", "."});
  EXPECT_EQ(outcome.code, 1);
  for (const char* line : {"line 1 failed: <lora:xxx", "line 2 failed: --init-img: xxx", "line 3: xxx"})
    EXPECT_NE(outcome.err.find(line), std::string::npos) << line << outcome.err.substr(0, 20'000);
  EXPECT_LT(outcome.err.size(), 8000U);
  std::istringstream lines(bytes_of("out/failed.jsonl"));
  for (std::string line; std::getline(lines, line);)
    EXPECT_LT(nlohmann::json::parse(line)["_failed"].get<std::string>().size(), 1100U);
  std::ofstream(directory_ / "out/failed.jsonl") << R"({"prompt": "a fox", "_failed": ")" << much << "\"}\n";
  EXPECT_LT(brume({"batch", "--status", "out"}).err.size(), 2000U);
}

/// Each of them reads all lines.
TEST_F(BatchFailures, WhatIsWrongForAllShardsIsToldByTheFirst) {
  write_jobs("a fox\n--zz\na cat --w 60\nan owl\n");
  const auto shard = [&](const char* number) {
    const Outcome outcome = batch({"--shard", number, "--json"});
    auto summary = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(outcome.code, summary["failed"] == 0 ? 0 : 1);
    EXPECT_EQ(outcome.err.find("line 2: ") != std::string::npos, summary["bad_lines"] == 1) << outcome.err;
    EXPECT_EQ(outcome.err.find("note: shard 0/2 tells of 2 lines and jobs") != std::string::npos,
              summary["bad_lines"] == 0)
        << outcome.err;
    return summary;
  };
  const auto second = shard("1/2");
  EXPECT_EQ(second["bad_lines"], 0);
  EXPECT_EQ(second["failed"], 0);
  const std::string missing = "shard 0/2 has not run here";
  EXPECT_NE(brume({"batch", "--status", "out"}).err.find(missing), std::string::npos);
  const auto first = shard("0/2");
  EXPECT_EQ(first["bad_lines"], 1);
  EXPECT_EQ(first["failed"], 1);
  EXPECT_EQ(first["drawn"].get<int>() + second["drawn"].get<int>(), 2);
  const Outcome status = brume({"batch", "--status", "out"});
  EXPECT_EQ(status.out, "2 done, 1 failed\n");
  EXPECT_EQ(status.err.find(missing), std::string::npos) << status.err;
}

TEST_F(BatchFailures, TheSummaryTellsEarlierFailuresApart) {
  write_jobs("a cat --w 60\na fox\n");
  EXPECT_NE(batch().err.find("1 failed; what failed is in"), std::string::npos);
  std::ofstream(directory_ / "other.txt") << "an owl\n";
  Words other = words({});
  other[1] = "other.txt";
  const Outcome outcome = brume(other);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.err.find("what failed before is in"), std::string::npos) << outcome.err;
}

TEST_F(BatchFailures, AJobNeedsAPrompt) {
  write_jobs("{\"prompt\": null, \"seed\": 1}\n{\"prompt\": \"\", \"seed\": 2}\n--steps 2\na fox --d 3\n");
  const Outcome outcome = batch();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "out/00002_2.png\nout/00004_3.png\n");
  EXPECT_NE(outcome.err.find("line 1 failed: the job: has no prompt"), std::string::npos) << outcome.err;
  EXPECT_EQ(summary({"-p", "a hen"})["drawn"], 2);
}

TEST_F(BatchFailures, WhatIsSaidOfSomeJobsSpoilsNoOthers) {
  write_jobs(
      "{\"prompt\": \"a fox\", \"pag_scale\": 2, \"mimic_scale\": 3, \"seed\": 1}\n"
      "{\"prompt\": \"a fox\", \"seed\": 2}\n");
  const Outcome outcome = batch({"--pag-layers", "mid", "--threshold-percentile", "0.9"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(recipe_of("out/00001_1.png")["threshold_percentile"], 0.9);
  EXPECT_FALSE(recipe_of("out/00002_2.png").contains("pag_layers"));
}

TEST_F(BatchFailures, FailFastStopsAtTheFirst) {
  write_jobs("a cat --w 60\n" + std::string("a fox\na dog\nan owl\n"));
  EXPECT_EQ(batch({"--fail-fast"}).code, 1);
  EXPECT_LT(pictures().size(), 3U);
}

TEST_F(BatchFailures, FailFastStopsAtTheFirstBadLine) {
  std::string lines = "a fox --zz\n";
  for (int i = 0; i < 200; ++i) lines += "fox " + std::to_string(i) + "\na cat --zz\n";
  write_jobs(lines);
  const Outcome outcome = batch({"--fail-fast"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(pictures().size(), 0U);
  EXPECT_NE(outcome.err.find("line 1: "), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("line 3: "), std::string::npos) << outcome.err;
}

/// Nobody may have to wait for a pipe that never ends to learn of a failure.
TEST_F(BatchFailures, FailFastWaitsForNoMoreJobs) {
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  const int pipe = ::open((directory_ / "pipe").c_str(), O_RDWR);  // never at its end
  ASSERT_GE(pipe, 0);
  for (const char* lines_text : {"a cat --w 60\n", "a fox\na cat --w 60\n", "a fox\na cat --zz\n"}) {
    const std::string lines = lines_text;
    ASSERT_EQ(::write(pipe, lines.data(), lines.size()), static_cast<ssize_t>(lines.size()));
    Program program({.arguments = words_for("pipe", {"--fail-fast"}), .directory = directory_});
    EXPECT_EQ(program.finish(30).code, 1) << "after " << lines;
  }
  ::close(pipe);
}

TEST_F(BatchFailures, AFatalErrorWaitsForNoMoreJobs) {
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  const int pipe = ::open((directory_ / "pipe").c_str(), O_RDWR);
  ASSERT_GE(pipe, 0);
  for (const Words& more : {Words{}, Words{"--devices", "cpu:2"}}) {
    ASSERT_EQ(::write(pipe, "a fox\na cat\n", 12), 12);
    Program program({.arguments = words_for("pipe", more), .directory = directory_, .file_limit = 4000});
    EXPECT_EQ(program.finish(30).code, 5);
  }
  ::close(pipe);
}

TEST_F(BatchFailures, AStopLosesNothingOfTheList) {
  write_jobs("a cat --w 60\na dog --w 60\na fox\n");
  EXPECT_EQ(batch().code, 1);
  ASSERT_EQ(listed(), (Prompts{"a cat", "a dog"}));
  // Mended, and drawn from the list itself, but stopped in the first picture.
  std::string lines = bytes_of("out/failed.jsonl");
  for (size_t at = lines.find(":60"); at != std::string::npos; at = lines.find(":60"))
    lines.replace(at, 3, ":64,\"steps\":900");
  for (size_t at = lines.find("\"steps\":2,"); at != std::string::npos; at = lines.find("\"steps\":2,"))
    lines.erase(at, 10);
  std::ofstream(directory_ / "out/failed.jsonl") << lines;
  Program program({.arguments = words_for("out/failed.jsonl", {"--grace", "0", "--progress", "jsonl"}),
                   .directory = directory_});
  ASSERT_TRUE(program.wait_for("progress", 60));
  program.send(SIGTERM);
  EXPECT_EQ(program.finish(60).code, kSignalled + SIGTERM);
  EXPECT_EQ(listed(), (Prompts{"a cat", "a dog"}));
}

/// Also where it comes before there was anything to draw.
TEST_F(BatchFailures, AStopIsNoSuccess) {
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  const int pipe = ::open((directory_ / "pipe").c_str(), O_RDWR);
  ASSERT_GE(pipe, 0);
  ASSERT_EQ(::write(pipe, "a cat --w 60\n", 13), 13);
  Program program({.arguments = words_for("pipe", {"--json"}), .directory = directory_});
  ASSERT_TRUE(program.wait_for("line 1 failed", 60));
  program.send(SIGTERM);
  const Outcome outcome = program.finish(30);
  ::close(pipe);
  EXPECT_EQ(outcome.code, kSignalled + SIGTERM);
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["stopped_by"], SIGTERM);
}

/// Standard error that is full holds up whoever writes to it, for ever.
TEST_F(BatchFailures, AStopNeedsNoReader) {
  std::string jobs;
  for (int i = 0; i < 2000; ++i) jobs += "cat " + std::to_string(i) + "\n";
  write_jobs(jobs);
  const auto drawn = [this] {
    const auto is_picture = [](const auto& entry) { return entry.path().extension() == ".png"; };
    return std::count_if(fs::directory_iterator(directory_ / "out"), {}, is_picture);
  };
  for (const Words& more : {Words{}, Words{"--devices", "cpu:2"}}) {
    fs::remove_all(directory_ / "out");
    fs::create_directory(directory_ / "out");
    fs::remove(directory_ / "errors");
    ASSERT_EQ(::mkfifo((directory_ / "errors").c_str(), 0600), 0);
    const int errors = ::open((directory_ / "errors").c_str(), O_RDWR);
    ASSERT_GE(errors, 0);
    ::fcntl(errors, F_SETPIPE_SZ, 8192);  // the sooner full
    Words all = words({"--progress", "jsonl", "--grace", "0"});
    all.insert(all.end(), more.begin(), more.end());
    Program program({.arguments = all, .directory = directory_, .err = directory_ / "errors"});
    ASSERT_TRUE(program.wait_for(".png\n", 120));
    // Until it is held up, which shows by pictures that do not come.
    for (auto before = drawn() - 1; before != drawn();) {
      before = drawn();
      ASSERT_TRUE(program.runs_for(2));
    }
    program.send(SIGTERM);
    const Outcome outcome = program.finish(60);
    ::close(errors);
    EXPECT_EQ(outcome.code, kSignalled + SIGTERM) << "killed by " << outcome.signal;
    EXPECT_LT(pictures().size(), 2000U);
    EXPECT_EQ(brume({"batch", "--status", "out"}).out,
              std::to_string(pictures().size()) + " done, 0 failed\n");
  }
}

/// Nor of standard output: what has room for no more paths, or for no summary.
TEST_F(BatchFailures, AStopNeedsNoReaderOfResults) {
  std::string jobs;
  for (int i = 0; i < 2000; ++i) jobs += "cat " + std::to_string(i) + "\n";
  write_jobs(jobs);
  const fs::path pipe = directory_ / "paths";
  const auto filled_pipe = [&] {
    fs::remove(pipe);
    EXPECT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    const int paths = ::open(pipe.c_str(), O_RDWR | O_NONBLOCK);
    EXPECT_GE(paths, 0);
    const std::string filling(4096, 'x');
    while (::write(paths, filling.data(), filling.size()) > 0) {
    }
    return paths;
  };
  for (const Words& more : {Words{}, Words{"--devices", "cpu:2"}, Words{"--json"}}) {
    fs::remove_all(directory_ / "out");
    fs::create_directory(directory_ / "out");
    const bool summary_alone = more == Words{"--json"};
    if (summary_alone) write_jobs("a fox\n");
    const int paths = filled_pipe();
    Words all = words({"--progress", "jsonl", "--grace", "0"});
    all.insert(all.end(), more.begin(), more.end());
    Program program({.arguments = all, .directory = directory_, .out = pipe});
    ASSERT_TRUE(program.wait_for(summary_alone ? R"("event":"end")" : R"("event":"drawn")", 120));
    ASSERT_TRUE(program.runs_for(1));
    program.send(SIGTERM);
    const Outcome outcome = program.finish(60);
    ::close(paths);
    EXPECT_EQ(outcome.code, kSignalled + SIGTERM) << "killed by " << outcome.signal << outcome.err;
    const size_t drawn = pictures().size();
    EXPECT_GT(drawn, 0U);
    EXPECT_LT(drawn, 2000U);
    EXPECT_EQ(brume({"batch", "--status", "out"}).out, std::to_string(drawn) + " done, 0 failed\n");
  }
}

TEST_F(BatchFailures, FailFastLooksAtNoMoreLines) {
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += "cat " + std::to_string(i) + " --w 60\n";
  write_jobs(lines);
  EXPECT_EQ(batch({"--fail-fast"}).code, 1);
  EXPECT_EQ(listed(), Prompts{"cat 0"});
}

TEST_F(BatchFailures, WhatIsNoJobStaysInTheList) {
  write_jobs("a cat --w 60\na dog --w 60\n");
  EXPECT_EQ(batch().code, 1);
  std::string lines = bytes_of("out/failed.jsonl");
  lines.replace(lines.find("}\n"), 2, "\n");    // broken
  lines.replace(lines.rfind(":60"), 3, ":64");  // mended
  std::ofstream(directory_ / "out/failed.jsonl") << lines;
  EXPECT_EQ(brume(words_for("out/failed.jsonl")).code, 1);
  EXPECT_EQ(pictures().size(), 1U);
  EXPECT_EQ(bytes_of("out/failed.jsonl"), lines.substr(0, lines.find('\n') + 1));
}

TEST_F(BatchFailures, AJobKeepsTheNameOfItsFile) {
  write_jobs("a cat --w 60\n");
  EXPECT_EQ(batch().code, 1);
  const std::string before = bytes_of("out/failed.jsonl");
  EXPECT_EQ(brume(words_for("out/failed.jsonl")).code, 1);
  EXPECT_EQ(bytes_of("out/failed.jsonl"), before);
  write_jobs("a cat --w 64\n");
  EXPECT_EQ(batch().code, 0);
  EXPECT_FALSE(fs::exists(directory_ / "out/failed.jsonl"));
}

TEST_F(BatchFailures, AListThatIsNoFileIsToldAtOnce) {
  write_jobs("a fox\na cat --w 60\n");
  fs::create_directory(directory_ / "out/failed.jsonl");
  expect_error(batch(), 5, {"failed.jsonl", "ordinary file"});
  fs::remove(directory_ / "out/failed.jsonl");
  ASSERT_EQ(::mkfifo((directory_ / "out/failed.jsonl").c_str(), 0600), 0);
  expect_error(batch(), 5, {"failed.jsonl", "ordinary file"});
  fs::remove(directory_ / "out/failed.jsonl");
  fs::create_symlink("/etc/hostname", directory_ / "out/.failed.jsonl.new");
  expect_error(batch(), 5, {".failed.jsonl.new"});
  EXPECT_EQ(pictures().size(), 0U);
}

/// Who else may write to DIR has no say in what is read or written elsewhere.
TEST_F(BatchFailures, LinksInTheDirectoryAreNotFollowed) {
  write_jobs("a fox\n");
  const auto link = [&](const std::string& name) {
    std::ofstream(directory_ / name) << "mine";
    fs::remove(directory_ / "out" / name);
    fs::create_symlink(directory_ / name, directory_ / "out" / name);
  };
  link(".brume-model.json");
  EXPECT_EQ(batch().code, 0);
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(directory_ / "out/.brume-model.json")));
  EXPECT_EQ(bytes_of(".brume-model.json"), "mine");
  for (const char* name : {"failed.jsonl", "brume-journal.jsonl"}) {
    link(name);
    expect_error(batch({"--force"}), 5, {name, "is a symbolic link", "move"});
    EXPECT_EQ(bytes_of(name), "mine");
    fs::remove(directory_ / "out" / name);
  }
  link("grid.png");
  batch({"--grid"});
  EXPECT_EQ(bytes_of("grid.png"), "mine");
}

/// A script that goes on after --status goes on with all of the pictures, or not at all.
TEST_F(BatchFailures, StatusTellsOfRunsThatEndedTooEarly) {
  write_jobs("a fox\nan owl\n{\n");
  const auto status = [&] { return brume({"batch", "--status", "out"}); };
  EXPECT_EQ(batch({"--shard", "0/2"}).code, 1);
  EXPECT_EQ(batch({"--shard", "1/2", "--fail-fast"}).code, 0);  // the bad line is the other's
  EXPECT_EQ(status().code, 0) << status().err;
  EXPECT_EQ(batch({"--shard", "0/2", "--fail-fast", "--force"}).code, 1);
  EXPECT_EQ(status().code, 1);
  EXPECT_NE(status().err.find("the last run of shard 0-of-2 ended before"), std::string::npos)
      << status().err;
  EXPECT_EQ(nlohmann::json::parse(brume({"batch", "--status", "--json", "out"}).out)["unfinished"], 1);
  // A run of the whole sees to the jobs of all shards.
  EXPECT_EQ(batch().code, 1);
  EXPECT_EQ(status().code, 0) << status().err;
  Program stopped({.arguments = words({"--force", "-b", "200"}), .directory = directory_});
  ASSERT_TRUE(stopped.wait_for(".png", 60));
  stopped.send(SIGTERM);
  EXPECT_EQ(stopped.finish(60).code, 128 + SIGTERM);
  EXPECT_EQ(status().code, 1);
  EXPECT_NE(status().err.find("the last run ended before"), std::string::npos) << status().err;
}

TEST_F(BatchFailures, StatusTellsOfPicturesThatHaveGone) {
  write_jobs("a fox\nan owl\n");
  EXPECT_EQ(batch().code, 0);
  fs::remove(directory_ / "out" / pictures().begin()->first);
  const Outcome status = brume({"batch", "--status", "out"});
  EXPECT_EQ(status.code, 1);
  EXPECT_EQ(status.out, "1 done, 0 failed, 1 missing; the next run draws those that its jobs ask for\n");
  EXPECT_EQ(nlohmann::json::parse(brume({"batch", "--status", "--json", "out"}).out)["missing"], 1);
  EXPECT_EQ(batch().code, 0);
  EXPECT_EQ(brume({"batch", "--status", "out"}).out, "2 done, 0 failed\n");
  expect_error(brume({"batch", "--status", "nowhere"}), 4, {"nowhere", "is no directory"});
}

/// What cannot be listed is not empty: records, failures and pictures would be passed over.
TEST_F(BatchFailures, ADirectoryThatCannotBeListedIsTold) {
  write_jobs("a fox\n");
  EXPECT_EQ(batch().code, 0);
  fs::permissions(directory_ / "out", fs::perms::owner_write | fs::perms::owner_exec);
  for (const Words& command : {words({}), words({"--resume"}), words({"--plan"}),
                               Words{"batch", "--status", "out"}, Words{"gallery", "out"}})
    expect_error(run({.arguments = command, .directory = directory_, .obeys_modes = true}), 5,
                 {"out", ": cannot list: Permission denied"});
  fs::permissions(directory_ / "out", fs::perms::owner_all);
}

TEST_F(BatchFailures, ALaterRunOfOtherJobsKeepsTheList) {
  write_jobs("a cat --w 60\na fox\n");
  EXPECT_EQ(batch().code, 1);
  std::ofstream(directory_ / "others.txt") << "an owl\na crow --w 60\n";
  EXPECT_EQ(brume(words_for("others.txt")).code, 1);
  EXPECT_EQ(listed(), (Prompts{"a cat", "a crow"}));
  // The first file has nothing to complain of any more.
  write_jobs("a cat --w 64\na fox\n");
  EXPECT_EQ(batch().code, 0);
  EXPECT_EQ(listed(), (Prompts{"a crow"}));
}

TEST_F(BatchFailures, AKilledRunLeavesItsFailuresToTheNext) {
  write_jobs("a cat --w 60\nan owl --steps 900\n");
  Program program({.arguments = words({"--progress", "jsonl"}), .directory = directory_});
  ASSERT_TRUE(program.wait_for("progress", 60));
  const auto expect_known = [&](const std::string& when) {
    const Outcome status = brume({"batch", "--status", "--json", "out"});
    EXPECT_EQ(status.code, 1) << when;
    const auto told = nlohmann::json::parse(status.out);
    ASSERT_EQ(told["failures"].size(), 1U) << when << status.out;
    EXPECT_EQ(told["failed"], 1);
    EXPECT_NE(told["failures"][0]["reason"].get<std::string>().find("--width 60"), std::string::npos)
        << status.out;
  };
  expect_known("at work");
  program.send(SIGKILL);
  program.finish(60);
  EXPECT_EQ(listed(), Prompts{});
  expect_known("killed");
  std::ofstream(directory_ / "others.txt") << "a crow\n";
  EXPECT_EQ(brume(words_for("others.txt")).code, 0);
  EXPECT_EQ(listed(), (Prompts{"a cat"}));
}

/// At every call that writes below the directory, from the lock to the last record.
TEST_F(BatchFailures, AnyFailureToWriteIsToldAndTheNextRunMakesItGood) {
  write_jobs("a fox\na cat --w 60\nan owl\n");  // the second is recorded as failed
  const fs::path mark = directory_ / "mark";
  constexpr std::array kErrors{ENOSPC, EIO};
  int calls = 0;
  for (bool happened = true; happened; ++calls) {
    fs::remove_all(directory_ / "out");
    fs::create_directory(directory_ / "out");
    const int error = kErrors[static_cast<size_t>(calls) % kErrors.size()];
    const Outcome outcome = run({.arguments = words({"--deterministic"}, directory_ / "out"),
                                 .directory = directory_,
                                 .environment = {{"LD_PRELOAD", BRUME_FAILING_CALLS},
                                                 {"BRUME_FAULT_BELOW", directory_ / "out"},
                                                 {"BRUME_FAULT_AT", std::to_string(calls + 1)},
                                                 {"BRUME_FAULT_HOW", std::to_string(error)},
                                                 {"BRUME_FAULT_MARK", mark}}});
    happened = fs::remove(mark);
    SCOPED_TRACE("call " + std::to_string(calls + 1) + ": " + outcome.err);
    EXPECT_EQ(outcome.code, happened ? 5 : 1);
    if (outcome.out.find(".png") != std::string::npos) {
      EXPECT_NE(outcome.err.find(" drawn"), std::string::npos) << "no summary";
    }
    const size_t before = pictures().size();  // each is whole, and nothing else is left
    const Outcome next = batch({"--deterministic"});
    EXPECT_EQ(next.code, 1) << next.err;
    EXPECT_EQ(lines_in(next.out), 2 - before);
    EXPECT_EQ(pictures_by_key().size(), 2U);
    if (HasFailure()) return;
  }
  EXPECT_GT(calls, 20);
  std::printf("%d calls failed, one after another\n", calls - 1);
}

/// With room for one thread more each time, until there is enough: who has none says so before anything is
/// drawn, and loses nothing.
TEST_F(BatchFailures, TooFewThreadsAreOutOfMemory) {
  struct Row {
    Words more;
    const char* limited;  // the command whose processes these are
    const char* cores;    // that libtorch takes
    int enough;
  };
  const std::vector<Row> rows{{{"-t", "1"}, "batch", "1", 2},
                              {{"-t", "2"}, "batch", "1", 2},
                              {{"-t", "1"}, "batch", "3", 2},
                              {{"--devices", "cpu:2"}, "batch", "1", 5},
                              {{"--devices", "cpu:1"}, "worker", "1", 2}};
  for (const Row& row : rows) {
    write_jobs("a fox\nan owl\n");
    int most = -1;
    Outcome outcome;
    do {
      fs::remove_all(directory_ / "out");
      fs::create_directory(directory_ / "out");
      outcome = run({.arguments = words(row.more),
                     .directory = directory_,
                     .environment = {{"LD_PRELOAD", BRUME_FEW_THREADS},
                                     {"BRUME_MOST_THREADS", std::to_string(++most)},
                                     {"BRUME_LIMITED", row.limited},
                                     {"OMP_NUM_THREADS", row.cores}}});
      SCOPED_TRACE(std::string(row.limited) + " with " + std::to_string(most) + ": " + outcome.err);
      if (outcome.code == 0) {
        EXPECT_EQ(pictures().size(), 2U);
        continue;
      }
      EXPECT_EQ(outcome.code, 6);
      EXPECT_EQ(outcome.signal, 0);
      EXPECT_NE(outcome.err.find("threads: no room for another"), std::string::npos);
      EXPECT_NE(outcome.err.find("ulimit -u"), std::string::npos);
      EXPECT_LE(lines_in(outcome.err), 2U);  // after the summary
      EXPECT_TRUE(pictures().empty());
      EXPECT_FALSE(fs::exists(directory_ / "out/failed.jsonl"));
      if (fs::exists(directory_ / "out/brume-journal.jsonl")) {
        EXPECT_EQ(brume({"batch", "--status", "out"}).out, "0 done, 0 failed\n");
      }
    } while (outcome.code != 0 && !HasFailure());
    EXPECT_GE(most, row.enough);
    if (HasFailure()) return;
  }
}

TEST_F(BatchFailures, AProcessTooManyIsGivenUp) {
  write_jobs("a fox\nan owl\n");
  for (const char* most : {"0", "1"}) {
    const Outcome outcome =
        run({.arguments = words({"--devices", "cpu:2", "--json"}),
             .directory = directory_,
             .environment = {{"LD_PRELOAD", BRUME_FEW_THREADS}, {"BRUME_MOST_STARTS", most}}});
    EXPECT_EQ(outcome.code, *most == '0' ? 6 : 0) << outcome.err;
    EXPECT_NE(outcome.err.find("cannot be started: "), std::string::npos) << outcome.err;
    const nlohmann::json summary = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(summary["drawn"], *most == '0' ? 0 : 2);
    EXPECT_EQ(summary["given_up"].size(), *most == '0' ? 2U : 1U) << summary;
  }
}

}  // namespace
}  // namespace brume::testing
