#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "brume/bench/rounds.h"
#include "memory/trace.h"
#include "memory/traced_drawing.h"

// What a request is said to need of memory, against what one took of a GPU's.
namespace brume::testing {
namespace {

MemoryTrace read(const std::string& text) {
  std::istringstream stream(text);
  return MemoryTrace::read(stream);
}

TEST(MemoryTrace, IsReplayedByPhases) {
  const MemoryTrace trace = read(
      "brume memory trace 1\nmodel two words\n= weights\n+0 2\n+1 4\n= steps\n+2 1\n-1\n+1 3\n-2\n"
      "= decode\n-0\n");
  EXPECT_EQ(trace.facts.at("model"), "two words");
  const auto expect = [&](const char* name, int64_t before, int64_t peak, int64_t after) {
    const TracedPhase& phase = trace.phase(name);
    EXPECT_EQ(phase.before, before * kTraceUnit) << name;
    EXPECT_EQ(phase.peak, peak * kTraceUnit) << name;
    EXPECT_EQ(phase.after, after * kTraceUnit) << name;
  };
  expect("weights", 0, 6, 6);
  expect("steps", 6, 7, 5);
  expect("decode", 5, 5, 3);
  EXPECT_THROW(trace.phase("text"), std::runtime_error);
}

TEST(MemoryTrace, OfAnotherKindIsRefused) {
  const std::string head = "brume memory trace 1\nmodel x\n= a\n";
  for (const std::string& bad :
       {std::string(), std::string("another file\n"), std::string("brume memory trace 1\nmodel x\n"),
        head + "+0\n", head + "+0 -3\n", head + "+0 1\n+0 1\n", head + "-0\n", head + "+0 1\n-1\n",
        head + "?\n", head + "\n"})
    EXPECT_THROW(read(bad), std::runtime_error) << bad;
}

TEST(MemoryTrace, IsWrittenAsItIsRead) {
  TraceWriter writer;
  writer.fact("model", "x");
  writer.see(0x100, 700);  // before all phases
  writer.phase("one");
  writer.see(0x200, 512);
  writer.see(0x200, -512);
  writer.see(0x300, 5120);
  writer.see(0x999, -1);  // of what nobody saw taken
  writer.pause();
  writer.see(0x100, -700);
  writer.see(0x400, 1024);
  writer.see(0x500, 1 << 20);
  writer.see(0x500, -(1 << 20));
  writer.phase("two");
  writer.see(0x400, -1024);
  EXPECT_EQ(writer.text(),
            "brume memory trace 1\nmodel x\n= unrecorded\n+0 2\n= one\n+1 1\n-1\n+1 10\n"
            "= unrecorded\n-0\n+0 2\n= two\n-0\n");
  const MemoryTrace trace = read(writer.text());
  EXPECT_EQ(trace.phase("one").peak, 12 * kTraceUnit);
  EXPECT_EQ(trace.phase("two").before, 12 * kTraceUnit);
  EXPECT_EQ(trace.phase("two").after, 10 * kTraceUnit);
}

/// The traces that were recorded on a GPU.
std::vector<std::string> recorded() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(BRUME_TEST_DATA "/memory/traces")) {
    if (file.path().extension() == ".txt") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// As the program has it of a GPU that computes in fp16 (Compute::estimate_dtype).
constexpr at::ScalarType kEstimated = at::kBFloat16;

class Recorded : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::ifstream file(std::string(BRUME_TEST_DATA "/memory/traces/") + GetParam() + ".txt");
    trace_ = MemoryTrace::read(file);
    ASSERT_EQ(trace_.facts.at("dtype"), "fp16");
  }

  /// What a phase took beside what was there.
  double taken(const std::string& phase) const {
    const TracedPhase& traced = trace_.phase(phase);
    return static_cast<double>(traced.peak - traced.before);
  }
  static void expect_estimated(double estimate, double taken) {
    constexpr double kMost = 1.3;
    EXPECT_GE(estimate, taken) << estimate / taken;
    EXPECT_LE(estimate, kMost * taken) << estimate / taken;
  }

  MemoryTrace trace_;
};

TEST_P(Recorded, TakesWhatIsEstimatedOrALittleLess) {
  const TracedDrawing drawing{trace_.facts.at("model"), std::stoll(trace_.facts.at("width")),
                              std::stoll(trace_.facts.at("height"))};
  const ModelConfig model = drawing.config();
  const Request request = drawing.request(model);
  {
    SCOPED_TRACE("weights");
    const TracedPhase& weights = trace_.phase("weights");
    expect_estimated(bench::weight_bytes(model, kEstimated),
                     static_cast<double>(weights.after - weights.before));
  }
  {
    SCOPED_TRACE("steps");
    expect_estimated(model.step_bytes(request, kEstimated), taken("steps"));
  }
  {
    SCOPED_TRACE("decode");
    expect_estimated(model.decode_bytes(request, kEstimated), taken("decode"));
  }
  // Nobody estimates what the words take: it must be less.
  EXPECT_LT(taken("text"),
            std::max(model.step_bytes(request, kEstimated), model.decode_bytes(request, kEstimated)));
}

INSTANTIATE_TEST_SUITE_P(OnAGpu, Recorded, ::testing::ValuesIn(recorded()),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace brume::testing
