#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "brume/batch/job_feed.h"
#include "brume/batch/runner.h"
#include "brume/bench/rounds.h"
#include "brume/pipeline/model_config.h"
#include "compute.h"

namespace brume::cli {

/// How the batch would be drawn.
struct PlanSettings {
  Compute compute{at::kFloat, "cpu", nullptr};
  batch::RunnerSettings runner;  // of each process that draws
  int64_t workers = 0;           // processes; 0: this one draws
};

/// What a batch will take, told before the weights are read.
class BatchPlan {
 public:
  /// `model` must outlive the plan.
  BatchPlan(const ModelConfig& model, const PlanSettings& settings);

  void add(const batch::ReadyJob& job);
  /// Makes it the plan of one of so many equal shares of what was added.
  void divide(int64_t shares);

  struct Estimate {
    int64_t pictures = 0;
    int64_t steps = 0;
    int64_t processes = 1;    // that draw
    int64_t threads = 1;      // of each one's UNet
    double seconds = 0;       // by this machine's speed at a convolution, measured now with the run's threads
    double memory_bytes = 0;  // the most that all processes hold
    double disk_bytes = 0;    // at most
    std::optional<double> free_memory = {};  // nothing: not known
    std::optional<double> free_disk = {};
  };
  Estimate estimate(const std::filesystem::path& directory) const;

 private:
  struct PhaseSeconds {
    double text = 0;
    double steps = 0;
    double decode = 0;
    double write = 0;
  };
  PhaseSeconds phases(double peak) const;
  double overlapped(const PhaseSeconds& of) const;
  double seconds() const;
  double memory() const;
  double drawing_memory() const;
  int64_t processes() const;
  int64_t rows() const;

  const ModelConfig& model_;
  PlanSettings settings_;
  bench::PromptWork prompt_;
  int64_t pictures_ = 0;
  int64_t steps_ = 0;
  double prompts_ = 0;      // to encode: each picture's, and its negative one
  double step_flop_ = 0;    // of all steps
  double decode_flop_ = 0;  // of all pictures
  double pixels_ = 0;
  double step_bytes_ = 0;    // of one picture, the most of any
  double decode_bytes_ = 0;  // so too
};

nlohmann::json plan_json(const BatchPlan::Estimate& estimate);
/// For people.
std::vector<std::string> plan_lines(const BatchPlan::Estimate& estimate);
/// Throws kOutOfMemory or kOutputFailed for a plan that cannot be carried out.
void check_plan(const BatchPlan::Estimate& estimate, const std::filesystem::path& directory);

}  // namespace brume::cli
