#include "batch_plan.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "brume/base/error.h"
#include "brume/bench/rounds.h"
#include "brume/pipeline/memory.h"
#include "notes.h"
#include "progress.h"
#include "standard_output.h"

namespace brume::cli {

namespace {

constexpr double kGibibyte = 1024.0 * 1024.0 * 1024.0;
// A network reaches this part of a lone convolution's speed; what else a picture takes is about a tenth more.
constexpr double kShareOfPeak = 0.5;

std::string gibibytes(double bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(bytes < kGibibyte / 10 ? 3 : 1) << bytes / kGibibyte << " GiB";
  return text.str();
}

}  // namespace

BatchPlan::BatchPlan(const ModelConfig& model, at::ScalarType dtype, int64_t rows)
    : model_(model), dtype_(dtype), rows_(rows) {}

void BatchPlan::add(const batch::ReadyJob& job) {
  const Request& request = job.request;
  constexpr double kBytesAPixel = 3;
  constexpr double kBytesAFile = 8192;  // its recipe, and a block of the file system
  const double calls = request.guidance.active() ? 2 : 1;
  ++pictures_;
  steps_ += request.sampling.steps;
  work_ +=
      calls * static_cast<double>(request.sampling.steps) * model_.step_work(request.width, request.height);
  working_bytes_ = std::max(working_bytes_, model_.working_bytes(request, dtype_));
  disk_bytes_ += kBytesAFile + kBytesAPixel * static_cast<double>(request.width * request.height);
}

BatchPlan::Estimate BatchPlan::estimate(const std::filesystem::path& directory) const {
  constexpr double kFlop = 2;  // of a multiply-add
  Estimate result;
  result.pictures = pictures_;
  result.steps = steps_;
  result.seconds = kFlop * work_ / (kShareOfPeak * bench::measured_peak(dtype_));
  result.memory_bytes = bench::weight_bytes(model_, dtype_) + static_cast<double>(rows_) * working_bytes_;
  result.disk_bytes = disk_bytes_;
  result.free_memory = available_memory().value_or(0);
  std::error_code failed;
  const std::filesystem::space_info space = std::filesystem::space(directory, failed);
  if (!failed) result.free_disk = static_cast<double>(space.available);
  return result;
}

void print_plan(const BatchPlan::Estimate& estimate, bool json) {
  if (json) {
    const nlohmann::json object = {{"pictures", estimate.pictures},
                                   {"steps", estimate.steps},
                                   {"seconds", estimate.seconds},
                                   {"memory_bytes", estimate.memory_bytes},
                                   {"free_memory_bytes", estimate.free_memory},
                                   {"disk_bytes", estimate.disk_bytes},
                                   {"free_disk_bytes", estimate.free_disk}};
    print_json(object);
    return;
  }
  say("to draw: " + std::to_string(estimate.pictures) + " pictures, " + std::to_string(estimate.steps) +
      " steps; about " + duration_text(estimate.seconds));
  say("memory: about " + gibibytes(estimate.memory_bytes) + " of " + gibibytes(estimate.free_memory) +
      " free");
  say("disk: at most " + gibibytes(estimate.disk_bytes) + " of " + gibibytes(estimate.free_disk) + " free");
}

void check_plan(const BatchPlan::Estimate& estimate, const std::filesystem::path& directory) {
  if (estimate.free_memory > 0 && estimate.memory_bytes > estimate.free_memory) {
    throw Error(ExitCode::kOutOfMemory, "--plan",
                "needs about " + gibibytes(estimate.memory_bytes) + " of memory, " +
                    gibibytes(estimate.free_memory) + " are free",
                "use a smaller --batch-size, smaller pictures or --dtype bf16");
  }
  if (estimate.free_disk > 0 && estimate.disk_bytes > estimate.free_disk) {
    throw Error(ExitCode::kOutputFailed, directory.string(),
                "the pictures may take " + gibibytes(estimate.disk_bytes) + ", " +
                    gibibytes(estimate.free_disk) + " are free",
                "name a directory with more room");
  }
}

}  // namespace brume::cli
