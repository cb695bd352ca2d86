#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <span>

#include "brume/image/png.h"
#include "cli_fixture.h"

namespace brume::testing {
namespace {

constexpr int kSignalled = 128;

class Stop : public CommandLine {
 protected:
  /// Enough pictures that it never ends by itself.
  Start endless(Screen screen = Screen::kPipe) const {
    return {
        .arguments = generate_words({"-b", "100000", "-o", "x_%d.png", "--save-latents", "l.safetensors"}),
        .directory = directory_,
        .screen = screen};
  }
  /// With "note:" on standard error when the model is loaded.
  Words noted(Words more) const {
    more.insert(more.end(), {"-n", "rain", "--cfg-scale", "1"});
    return generate_words(more);
  }
  /// A single step of minutes.
  Start one_long_step() const {
    return {.arguments = noted({"-W", "2048", "-H", "2048", "--steps", "1", "-o", "x.png"}),
            .directory = directory_};
  }
  /// Every picture that was announced is there and whole, and nothing else is but the latents.
  void expect_whole_pictures(const std::string& announced) const {
    const auto count = static_cast<size_t>(std::count(announced.begin(), announced.end(), '\n'));
    EXPECT_GE(count, 2U);
    EXPECT_EQ(names().size(), count + 1);
    for (const std::string& name : names()) {
      if (name == "l.safetensors") continue;
      const std::string png = bytes_of(name);
      EXPECT_EQ(decode_png(std::as_bytes(std::span(png)), name).width, 64);
    }
  }
};

TEST_F(Stop, TheFirstSignalLeavesWholePictures) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Program program(endless());
    ASSERT_TRUE(program.wait_for("x_2.png\n", 60));
    program.send(signal);
    const Outcome outcome = program.finish(60);
    expect_error(outcome, kSignalled + signal, {"stopped by signal " + std::to_string(signal), "of 100000"});
    expect_whole_pictures(outcome.out);
    for (const std::string& name : names()) std::filesystem::remove(directory_ / name);
  }
}

TEST_F(Stop, TheSecondSignalIsAtOnce) {
  Program program(one_long_step());
  ASSERT_TRUE(program.wait_for("note:", 60));
  ASSERT_TRUE(program.runs_for(1));
  program.send(SIGINT);
  EXPECT_TRUE(program.runs_for(1));
  program.send(SIGINT);
  EXPECT_EQ(program.finish(5).code, kSignalled + SIGINT);
  EXPECT_EQ(names(), Words{});
}

/// Whether the process has a handler of its own for `signal`.
bool handles(pid_t pid, int signal) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("SigCgt:")) continue;
    return ((std::stoull(line.substr(line.find('\t')), nullptr, 16) >> (signal - 1)) & 1) != 0;
  }
  return false;
}

/// The first process of a container has no default actions: without a handler it would not end.
TEST_F(Stop, BeforeAnythingIsDrawnASignalIsAtOnce) {
  ASSERT_EQ(::mkfifo((directory_ / "jobs").c_str(), 0600), 0);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    Program program({.arguments = {"batch", "jobs", "-o", ".", "--plan"}, .directory = directory_});
    for (int i = 0; i < 1000 && !handles(program.pid(), signal); ++i) program.runs_for(0.02);
    program.send(signal);
    EXPECT_EQ(program.finish(60).code, kSignalled + signal);
  }
}

TEST_F(Stop, WaitingForTheReaderOfAPipeEnds) {
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  Program program({.arguments = noted({"-o", "pipe"}), .directory = directory_});
  ASSERT_TRUE(program.wait_for("note:", 60));
  ASSERT_TRUE(program.runs_for(2));
  program.send(SIGTERM);
  expect_error(program.finish(10), kSignalled + SIGTERM, {"stopped by signal", "0 of 1"});
  EXPECT_EQ(names(), Words{"pipe"});
}

TEST_F(Stop, ATerminalHasAProgressBarAndControlC) {
  Program program(endless(Screen::kTerminal));
  ASSERT_TRUE(program.wait_for("x_2.png\n", 60));
  EXPECT_TRUE(program.wait_for("steps/s", 60));
  EXPECT_TRUE(program.wait_for(" left", 60));
  program.type("\x03");
  const Outcome outcome = program.finish(60);
  EXPECT_EQ(outcome.code, kSignalled + SIGINT);
  EXPECT_NE(outcome.err.find("\r["), std::string::npos);
  EXPECT_NE(outcome.err.find("stopped by signal 2"), std::string::npos);
  EXPECT_EQ(outcome.out.find('\r'), std::string::npos);
  expect_whole_pictures(outcome.out);
}

/// The longest line that is drawn over itself.
size_t longest_status(const std::string& screen) {
  size_t longest = 0;
  for (size_t erase = screen.find("\x1b[K"); erase != std::string::npos;
       erase = screen.find("\x1b[K", erase + 1))
    longest = std::max(longest, erase - screen.rfind('\r', erase) - 1);
  return longest;
}

TEST_F(Stop, AStatusLineFitsTheTerminal) {
  for (const auto& [columns, most] : {std::pair<unsigned short, size_t>(60, 59), {20, 19}, {0, 79}}) {
    Start start = endless(Screen::kTerminal);
    start.columns = columns;
    Program program(start);
    ASSERT_TRUE(program.wait_for("x_2.png\n", 60));
    ASSERT_TRUE(program.wait_for("\x1b[K", 60));
    program.type("\x03");
    const size_t longest = longest_status(program.finish(60).err);
    EXPECT_LE(longest, most);
    // What there is to say takes more than 60 columns.
    EXPECT_GE(longest, std::min<size_t>(most, 59));
    for (const std::string& name : names()) std::filesystem::remove(directory_ / name);
  }
}

/// The least address space, in steps of 128 MiB, in which `words` succeed.
uint64_t enough_memory(const Words& words, const std::filesystem::path& directory) {
  constexpr uint64_t kStep = uint64_t{128} << 20;
  for (uint64_t limit = 6 * kStep; limit < 128 * kStep; limit += kStep) {
    const Outcome outcome = run({.arguments = words, .directory = directory, .memory_limit = limit});
    EXPECT_EQ(outcome.signal, 0) << limit;
    if (outcome.code == 0) return limit;
  }
  ADD_FAILURE() << "no memory is enough";
  return 0;
}

TEST_F(Stop, OutOfMemoryIsAnExitCode) {
  const uint64_t small = enough_memory(generate_words({"-t", "1", "-o", "-"}), directory_);
  const Words large = generate_words(
      {"-t", "1", "-W", "256", "-H", "256", "-b", "1024", "--batch-size", "1024", "-o", "x.png"});
  const Outcome outcome =
      run({.arguments = large, .directory = directory_, .memory_limit = small + (64U << 20)});
  expect_error(outcome, 6, {"out of memory", "--vae-tiling"});
  EXPECT_EQ(names(), Words{});
}

}  // namespace
}  // namespace brume::testing
