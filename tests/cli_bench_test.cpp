#include <csignal>
#include <fstream>
#include <map>
#include <string>

#include "cli_fixture.h"
#include "json_schema.h"

// brume bench from outside: what it prints, what it refuses, its verdict.
namespace brume::testing {
namespace {

using nlohmann::json;

constexpr int kEnough = 6;  // rounds for an interval

class BenchCommand : public CommandLine {
 protected:
  /// Two rounds of two steps, or so many, and `more`.
  Outcome bench(const Words& more, int rounds = 2) const {
    Words words{"bench", "--steps", "2", "--max-rounds", std::to_string(rounds)};
    words.insert(words.end(), more.begin(), more.end());
    return brume(words);
  }
  json result(Words more, int rounds = 2) const {
    more.emplace_back("--json");
    const Outcome outcome = bench(more, rounds);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return json::parse(outcome.out);
  }
  /// A result of --arch tiny, changed, as a file.
  void write_baseline(const std::function<void(json&)>& edit) const {
    json object = result({"--arch", "tiny"}, kEnough);
    edit(object);
    std::ofstream(directory_ / "old.json") << object;
  }
};

const json& schema() {
  static const json read = read_json(BRUME_PROJECT "/docs/bench.schema.json");
  return read;
}

TEST_F(BenchCommand, PrintsOneObjectThatFitsItsSchema) {
  for (const Words& words :
       {Words{"--arch", "tiny"}, Words{"-m", model("sd1").string(), "-W", "64", "-H", "48"},
        Words{"-m", model("sdxl").string(), "--cfg-scale", "1", "-W", "64", "-H", "64", "--vae-tiling"}}) {
    const json object = result(words);
    EXPECT_EQ(schema_faults(schema(), object), Words{}) << object;
    EXPECT_GT(object["steps_per_second"], 0);
    EXPECT_GT(object["pictures_per_second"], 0);
    EXPECT_EQ(object["rounds"]["count"], 2);
    EXPECT_EQ(object["components"]["unet_step"]["count"], 4);
    EXPECT_EQ(object["repeatable"], true);
  }
}

TEST_F(BenchCommand, SaysWhatItMeasured) {
  const json tiny = result({"--arch", "tiny", "--batch-size", "3", "--dtype", "bf16", "--sampler", "ddpm"});
  EXPECT_EQ(tiny["arch"], "tiny");
  EXPECT_EQ(tiny["weights"], "random");
  EXPECT_EQ(tiny["batch_size"], 3);
  EXPECT_EQ(tiny["dtype"], "bf16");
  EXPECT_EQ(tiny["sampler"], "ddpm");
  EXPECT_EQ(tiny["width"], 64);
  const json sd1 = result({"-m", model("sd1").string(), "-W", "48"});
  EXPECT_EQ(sd1["arch"], "sd1");
  EXPECT_EQ(sd1["weights"], "model");
  EXPECT_EQ(sd1["width"], 48);
}

TEST_F(BenchCommand, ATableForPeople) {
  const Outcome outcome = bench({"--arch", "tiny"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "") << "no terminal, no progress";
  for (const char* part : {"tiny (random weights), 64x64", "UNet step", "VAE decode", "steps/s", "pictures/s",
                           "peak memory", "verdict        passed"})
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
}

TEST_F(BenchCommand, WritesAPage) {
  EXPECT_EQ(bench({"--arch", "tiny", "--html", "page.html"}).code, 0);
  const std::string page = bytes_of("page.html");
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  EXPECT_NE(page.find("<svg "), std::string::npos);
  EXPECT_EQ(page.find("Operations"), std::string::npos) << "nothing was profiled";
  EXPECT_EQ(names(), Words{"page.html"});
}

TEST_F(BenchCommand, ThePageHoldsTheProfile) {
  EXPECT_EQ(bench({"--arch", "tiny", "--profile", "--html", "page.html"}).code, 0);
  const std::string page = bytes_of("page.html");
  for (const char* part : {"<h2>Operations</h2>", "<td>brume::attention</td>", "take most of a round"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
}

TEST_F(BenchCommand, RunsOnUntilALimit) {
  const Outcome outcome = brume({"bench", "--arch", "tiny", "--steps", "2", "--max-time", "0", "--json"});
  EXPECT_EQ(json::parse(outcome.out)["rounds"]["count"], 1);
  const Outcome wide = brume({"bench", "--arch", "tiny", "--steps", "2", "--interval", "100%", "--json"});
  EXPECT_EQ(json::parse(wide.out)["converged"], true);
}

TEST_F(BenchCommand, HoldsTheSpeedAgainstABaseline) {
  write_baseline([](json& object) { object["steps_per_second"] = object["pictures_per_second"] = 1e-6; });
  const json faster = result({"--arch", "tiny", "--baseline", "old.json", "--max-regress", "3%"}, kEnough);
  EXPECT_EQ(schema_faults(schema(), faster), Words{});
  EXPECT_GT(faster["comparison"]["steps_change_percent"], 0);

  write_baseline([](json& object) {
    object["steps_per_second"] = 1e9;
    object["pictures_per_second"] = 1e-6;
  });
  const Outcome slower = bench({"--arch", "tiny", "--baseline", "old.json", "--json"}, kEnough);
  expect_error(slower, 1, {"steps a second fell by 100.0%", "3.0% allowed"});
  const json object = json::parse(slower.out);
  EXPECT_EQ(schema_faults(schema(), object), Words{});
  EXPECT_EQ(object["verdict"]["passed"], false);

  // Two rounds have no interval: however slow they were, the next ones may not be.
  const Outcome few = bench({"--arch", "tiny", "--baseline", "old.json", "--json"});
  expect_error(few, 9, {"steps a second: ", "fewer than six rounds"});
  EXPECT_EQ(schema_faults(schema(), json::parse(few.out)), Words{});
}

TEST_F(BenchCommand, ProfilesARound) {
  const json told = result({"--arch", "tiny", "--batch-size", "1", "--profile"});
  EXPECT_EQ(schema_faults(schema(), told), Words{});
  std::map<std::string, json> operations;
  double milliseconds = 0;
  for (const json& one : told["profile"]) {
    operations[one["operation"]] = one;
    milliseconds += one["ms"].get<double>();
    EXPECT_GT(one["calls"], 0) << one;
  }
  for (const char* name : {"brume::convolution", "brume::linear", "brume::attention"}) {
    ASSERT_TRUE(operations.contains(name)) << name;
    EXPECT_GT(operations[name]["gflop"], 0) << name;
  }
  EXPECT_TRUE(operations.contains("brume::group_norm"));
  // A time is counted once, in the operation that it was spent in: all fit into a round.
  EXPECT_LT(milliseconds, 5e3 / told["pictures_per_second"].get<double>());
}

TEST_F(BenchCommand, RefusesABaselineOfOtherWork) {
  write_baseline([](json& object) { object["arch"] = "sd15"; });
  expect_error(bench({"--arch", "tiny", "--baseline", "old.json"}), 4, {"old.json", "arch is sd15", "tiny"});
  write_baseline([](json&) {});
  expect_error(bench({"--arch", "tiny", "-W", "128", "--baseline", "old.json"}), 4,
               {"old.json", "width is 64", "128"});
  expect_error(bench({"--arch", "tiny", "--freeu", "1.3,1.4,0.9,0.2", "--baseline", "old.json"}), 4,
               {"old.json", "freeu is not used", "1.3,1.4,0.9,0.2"});
  expect_error(bench({"--arch", "tiny", "-p", "a fox BREAK snow", "--baseline", "old.json"}), 4,
               {"old.json", "tokens is not used", "77+154"});
  expect_error(bench({"--arch", "tiny", "-p", "a fox AND snow", "--baseline", "old.json"}), 4,
               {"old.json", "tokens is not used", "77+77+77"});
}

TEST_F(BenchCommand, HoldsALongPromptAgainstItsOwnResult) {
  const Words words{"--arch", "tiny", "-p", "a fox BREAK snow"};
  std::ofstream(directory_ / "old.json") << result(words, kEnough);
  Words again = words;
  again.insert(again.end(), {"--baseline", "old.json", "--max-regress", "99%"});
  EXPECT_EQ(result(again, kEnough)["options"]["tokens"], "77+154");
  again[3] = "a fox BREAK snow BREAK ice";
  expect_error(bench(again), 4, {"old.json", "tokens is 77+154", "77+231"});
  again[3] = "a fox";
  expect_error(bench(again), 4, {"old.json", "tokens is 77+154", "not used"});
}

TEST_F(BenchCommand, CountsEachWindowAndEachPartOfAPrompt) {
  const auto counted = [&](const std::string& prompt, const char* component) {
    return result({"--arch", "tiny", "-p", prompt}, 1)["components"][component]["gflop"].get<double>();
  };
  const double text = counted("a fox", "text_encode");  // and the negative prompt's
  EXPECT_NEAR(counted("a BREAK b BREAK c", "text_encode"), 2 * text, 1e-3 * text);
  EXPECT_NEAR(counted("a fox AND snow", "text_encode"), 1.5 * text, 1e-3 * text);
  EXPECT_NEAR(counted("a fox AND snow", "unet_step"), 1.5 * counted("a fox", "unet_step"),
              1e-3 * counted("a fox", "unet_step"));
}

TEST_F(BenchCommand, APageThatCannotBeWrittenTakesNothingWithIt) {
  const Outcome outcome = bench({"--arch", "tiny", "--json", "--html", "/dev/full"});
  expect_error(outcome, 5, {"/dev/full"});
  EXPECT_GT(json::parse(outcome.out)["steps_per_second"], 0);
}

TEST_F(BenchCommand, RefusesWhatIsNoBaseline) {
  expect_error(bench({"--arch", "tiny", "--baseline", "none.json"}), 4, {"none.json"});
  std::ofstream(directory_ / "half.json") << "{";
  expect_error(bench({"--arch", "tiny", "--baseline", "half.json"}), 4, {"half.json"});
  std::ofstream(directory_ / "other.json") << R"({"pictures": []})";
  expect_error(bench({"--arch", "tiny", "--baseline", "other.json"}), 4,
               {"other.json", "brume bench --json"});
}

TEST_F(BenchCommand, HoldsPicturesAgainstTheReference) {
  const json same = result({"--arch", "tiny", "--max-error", "0", "--batch-size", "1"});
  EXPECT_EQ(schema_faults(schema(), same), Words{});
  EXPECT_EQ(same["error"]["max_abs"], 0);
  EXPECT_TRUE(same["error"]["psnr_db"].is_null());
  const Words sd1{"-m", model("sd1").string(), "-W", "64", "-H", "64", "--dtype", "bf16"};
  Words wanted = sd1;
  wanted.insert(wanted.end(), {"--min-psnr", "10", "--batch-size", "2"});
  const json near = result(wanted);
  EXPECT_GT(near["error"]["max_abs"], 0) << "bf16 rounds";
  EXPECT_EQ(near["error"]["pictures"], 2);
  wanted = sd1;
  wanted.insert(wanted.end(), {"--min-psnr", "150", "--max-error", "0"});
  const Outcome far = bench(wanted);
  EXPECT_EQ(far.code, 1);
  EXPECT_NE(far.err.find("more than the 0 allowed"), std::string::npos);
  EXPECT_NE(far.err.find("dB wanted"), std::string::npos);
}

TEST_F(BenchCommand, WrongOptionsAreNamed) {
  expect_error(bench({"--arch", "sd9"}), 2, {"--arch", "sd9", "sdxl"});
  std::ofstream(directory_ / "x.png") << "any";
  expect_error(bench({"--arch", "tiny", "-i", "x.png"}), 2, {"--init-img", "words alone"});
  expect_error(bench({"--arch", "tiny", "-m", "x"}), 2, {"--arch", "-m"});
  expect_error(bench({"--arch", "tiny", "--max-regress", "3%"}), 2, {"--max-regress", "--baseline"});
  expect_error(bench({"--arch", "tiny", "--max-regress", "three"}), 2, {"--max-regress", "three"});
  expect_error(bench({"--arch", "tiny", "--interval", "-1%"}), 2, {"--interval"});
  expect_error(bench({"--arch", "tiny", "--baseline", "x", "--max-regress", "0.03"}), 2,
               {"--max-regress", "write 3% or 0.03%"});
  expect_error(bench({"--arch", "tiny", "--baseline", "absent", "--max-regress", "0.03%"}), 4, {"absent"});
  expect_error(bench({"--arch", "tiny", "--max-error", "256"}), 2, {"--max-error"});
  expect_error(bench({"--arch", "tiny", "--batch-size", "0"}), 2, {"--batch-size"});
  expect_error(bench({"--arch", "tiny", "-W", "65"}), 2, {"--width 65", "64"});
  expect_error(bench({"-m", "nowhere"}), 3, {"nowhere"});
  expect_error(bench({"--arch", "tiny", "--html", "no/where.html"}), 5, {"no: no such directory"});
  expect_error(bench({"--arch", "tiny", "--html", "-"}), 2, {"--html -", "name a file"});
}

TEST_F(BenchCommand, ASignalStopsItAtTheNextStep) {
  Program program({.arguments = {"bench", "--arch", "tiny", "--interval", "0", "--max-time", "1000", "-v"},
                   .directory = directory_});
  ASSERT_TRUE(program.wait_for("random weights", 30));
  EXPECT_TRUE(program.runs_for(1));
  program.send(SIGINT);
  const Outcome outcome = program.finish();
  EXPECT_EQ(outcome.code, 128 + SIGINT) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("stopped by signal 2"), std::string::npos);
}

}  // namespace
}  // namespace brume::testing
