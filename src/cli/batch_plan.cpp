#include "batch_plan.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/pipeline/memory.h"
#include "brume/weights/safetensors.h"
#include "notes.h"
#include "progress.h"

namespace brume::cli {

namespace {

constexpr double kGibibyte = 1024.0 * 1024.0 * 1024.0;
// A network reaches this part of a lone convolution's speed; what else a picture takes is about a tenth more.
constexpr double kShareOfPeak = 0.5;

/// Multiply-adds a second of a convolution such as UNets are made of.
double convolution_speed(at::ScalarType dtype) {
  const c10::InferenceMode guard;
  const at::Tensor x = at::rand({1, 128, 32, 32}).to(dtype);
  const at::Tensor weight = at::rand({128, 128, 3, 3}).to(dtype);
  constexpr double kWork = 128.0 * 128 * 9 * 32 * 32;
  constexpr double kSeconds = 0.1;
  using Clock = std::chrono::steady_clock;
  at::conv2d(x, weight, {}, 1, 1);
  const auto start = Clock::now();
  double seconds = 0;
  int calls = 0;
  for (; seconds < kSeconds; ++calls) {
    at::conv2d(x, weight, {}, 1, 1);
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }
  return kWork * calls / seconds;
}

double weight_bytes(const std::vector<std::filesystem::path>& files, at::ScalarType dtype) {
  double values = 0;
  for (const std::filesystem::path& file : files) {
    if (file.extension() != ".safetensors") continue;
    const SafetensorsFile weights(file);
    for (const StoredTensor& tensor : weights.header().tensors) {
      double count = 1;
      for (const uint64_t size : tensor.shape) count *= static_cast<double>(size);
      values += count;
    }
  }
  return values * static_cast<double>(c10::elementSize(dtype));
}

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

BatchPlan::Estimate BatchPlan::estimate(const std::vector<std::filesystem::path>& model_files,
                                        const std::filesystem::path& directory) const {
  Estimate result;
  result.pictures = pictures_;
  result.steps = steps_;
  result.seconds = work_ / (kShareOfPeak * convolution_speed(dtype_));
  result.memory_bytes = weight_bytes(model_files, dtype_) + static_cast<double>(rows_) * working_bytes_;
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
    const std::string text = object.dump(2) + "\n";
    write_all(STDOUT_FILENO, std::as_bytes(std::span(text)), "standard output");
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
