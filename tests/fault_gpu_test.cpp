#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <regex>
#include <string>

#include "kernels/gpu/driver.h"
#include "program.h"
#include "skip_all.h"

// What the program says of a GPU that has failed, and how soon.
namespace brume::testing {
namespace {

class NeedsDriver : public ::testing::Environment {
 public:
  void SetUp() override {
    if (!kernels::gpu::has_driver()) skip_all("no GPU: there is no driver", "BRUME_REQUIRE_GPU");
  }
};

[[maybe_unused]] ::testing::Environment* const kSkips = ::testing::AddGlobalTestEnvironment(new NeedsDriver);

TEST(GpuFault, EndsWithinTwoSecondsInALineThatNamesTheCallAndTheRemedy) {
  // Beside this one, wherever they were built.
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  Program program({.arguments = {}, .program = here / "sticky_error"});
  ASSERT_TRUE(program.wait_for("broken\n", 300)) << program.finish(1).err;
  const auto broken = std::chrono::steady_clock::now();
  const Outcome outcome = program.finish(60);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - broken;
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.code, 7) << outcome.err;
  EXPECT_LT(taken.count(), 2);
  RecordProperty("seconds", std::to_string(taken.count()));
  // By the call that noticed it: libtorch's, or ours in words.
  const std::regex line(
      "brume: the GPU: (an illegal memory access was encountered \\(cudaErrorIllegalAddress, in [^)]+\\)|"
      "[^:]+: an illegal memory access was encountered \\([^)]*\\)); "
      "start again; if it comes again, see what nvidia-smi and the system's log say of it, or use --device "
      "cpu\n");
  EXPECT_TRUE(std::regex_match(outcome.err, line)) << outcome.err;
}

}  // namespace
}  // namespace brume::testing
