#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "brume/pipeline/request.h"
#include "kernels/gpu/door.h"
#include "kernels/gpu/driver.h"
#include "skip_all.h"

// For tests of the engine on a GPU, by the plug-in BRUME_CUDA_PLUGIN.
namespace brume::testing {

using kernels::gpu::Gpu;

/// Opened once, before any tensor; null where none answers.
inline std::shared_ptr<const Gpu>& the_gpu() {
  static std::shared_ptr<const Gpu> gpu;
  return gpu;
}

class NeedsGpu : public ::testing::Environment {
 public:
  void SetUp() override {
    try {
      if (!kernels::gpu::has_driver()) throw std::runtime_error("there is no driver");
      the_gpu() = kernels::gpu::open_gpu(BRUME_CUDA_PLUGIN, 0, {}, nullptr);
    } catch (const std::exception& error) {
      skip_all(std::string("no GPU: ") + error.what(), "BRUME_REQUIRE_GPU");
    }
  }
};

/// One in each program's tests.
[[maybe_unused]] inline ::testing::Environment* const kSkips =
    ::testing::AddGlobalTestEnvironment(new NeedsGpu);

inline double peak_signal_to_noise(const Picture& a, const Picture& b) {
  double squares = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const double difference = static_cast<double>(a.pixels[i]) - b.pixels[i];
    squares += difference * difference;
  }
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.pixels.size()) / std::max(squares, 1e-9));
}

inline void expect_like(const Generation& made, const Generation& wanted, double decibels) {
  ASSERT_EQ(made.pictures.size(), wanted.pictures.size());
  for (size_t i = 0; i < made.pictures.size(); ++i) {
    ASSERT_TRUE(made.pictures[i].picture) << made.pictures[i].failed_stage;
    EXPECT_GE(peak_signal_to_noise(*made.pictures[i].picture, *wanted.pictures[i].picture), decibels);
  }
}

}  // namespace brume::testing
