#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>

#include "brume/batch/job_feed.h"
#include "brume/pipeline/model_config.h"

namespace brume::cli {

/// What a batch will take, told before the weights are read.
class BatchPlan {
 public:
  /// `rows`: pictures in one call of the UNet.
  BatchPlan(const ModelConfig& model, at::ScalarType dtype, int64_t rows);

  void add(const batch::ReadyJob& job);

  struct Estimate {
    int64_t pictures = 0;
    int64_t steps = 0;
    double seconds = 0;       // by this machine's speed at a convolution, measured now
    double memory_bytes = 0;  // weights, and the most that pictures at work take
    double disk_bytes = 0;    // at most
    double free_memory = 0;   // 0: not known
    double free_disk = 0;
  };
  Estimate estimate(const std::filesystem::path& directory) const;

 private:
  const ModelConfig& model_;
  at::ScalarType dtype_;
  int64_t rows_;
  int64_t pictures_ = 0;
  int64_t steps_ = 0;
  double work_ = 0;           // multiply-adds of all steps
  double working_bytes_ = 0;  // the most of any
  double disk_bytes_ = 0;
};

/// Says it on standard error, or as one JSON object on standard output.
void print_plan(const BatchPlan::Estimate& estimate, bool json);
/// Throws kOutOfMemory or kOutputFailed for a plan that cannot be carried out.
void check_plan(const BatchPlan::Estimate& estimate, const std::filesystem::path& directory);

}  // namespace brume::cli
