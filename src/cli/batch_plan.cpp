#include "batch_plan.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "brume/base/error.h"
#include "brume/base/threads.h"
#include "brume/bench/work.h"
#include "brume/pipeline/memory.h"
#include "count_text.h"
#include "progress.h"

namespace brume::cli {

namespace {

constexpr double kGibibyte = 1024.0 * 1024.0 * 1024.0;
constexpr double kMebibyte = 1024.0 * 1024.0;

// The constants below were measured on two cores with AVX-512, with brume bench and with whole batches of the
// embedded model at 128, 256 and 512 pixels and of Stable Diffusion 1.5 at 128 and 256.

// Parts of a lone convolution's speed that the networks reach, what reading the weights takes left out.
constexpr double kNetworkShare = 0.65;
constexpr double kDecoderShare = 0.4;  // few channels on large maps: more of it is moving than computing
// Each call of a network reads all of its weights, and convolutions lay them out anew: bytes a second.
constexpr double kWeightRate = 7e9;
constexpr double kLoadRate = 1e9;      // of weights from a file that the system has read before, converted
constexpr double kStartSeconds = 0.3;  // of a process, and the first calls of its kernels
constexpr double kFileSeconds = 0.01;  // a picture's file, its journal record, and both synchronised
constexpr double kPixelSeconds = 6e-8;

// What a process holds before any work: libraries, and the kernels that they build.
constexpr double kProcessBytes = 180 * kMebibyte;
// That reads the jobs and lets others draw.
constexpr double kParentBytes = 140 * kMebibyte;
// Beside the weights: those in layouts of their own, and pages of the file while it is read.
constexpr double kWeightsTwice = 0.2;
// Maps that the allocator keeps for later, as a share of decoding: little after the first picture; when
// decoding and steps take turns at it, up to this.
constexpr double kKeptOfFirst = 0.15;
constexpr double kKeptOfMany = 1.25;
constexpr double kMostKept = 250 * kMebibyte;  // larger maps go back to the system

std::string size_text(double bytes) {
  const bool is_small = bytes < kGibibyte / 10;
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << bytes / (is_small ? kMebibyte : kGibibyte)
       << (is_small ? " MiB" : " GiB");
  return text.str();
}

/// Work of the decoder for one picture. Tiles overlap by a quarter on each side.
double decode_flop(const ModelConfig& model, const Request& request, bench::MapSize latents) {
  constexpr double kOverlap = 16.0 / 9.0;
  const double whole = bench::decode_work(model.vae(), latents).flop();
  return request.decode == DecodeMode::kTiled ? kOverlap * whole : whole;
}

nlohmann::json or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

int64_t cores() { return std::max(1U, std::thread::hardware_concurrency()); }

}  // namespace

BatchPlan::BatchPlan(const ModelConfig& model, const PlanSettings& settings)
    : model_(model), settings_(settings), prompt_(bench::prompt_work(model)) {}

void BatchPlan::add(const batch::ReadyJob& job) {
  const Request& request = job.request;
  const double rows = request.guidance.rows(request.sampling.steps_taken());
  const bench::MapSize latents{request.height / model_.factor(), request.width / model_.factor()};
  ++pictures_;
  prompts_ += request.guidance.active() ? 2 : 1;
  steps_ += request.sampling.steps_taken();
  step_flop_ += rows * static_cast<double>(network_calls(request.sampling)) *
                bench::unet_work(model_.unet(), latents, prompt_.tokens).flop();
  decode_flop_ += decode_flop(model_, request, latents);
  pixels_ += static_cast<double>(request.width) * static_cast<double>(request.height);
  step_bytes_ = std::max(step_bytes_, model_.step_bytes(request, settings_.compute.estimate_dtype()));
  decode_bytes_ = std::max(decode_bytes_, model_.decode_bytes(request, settings_.compute.estimate_dtype()));
}

void BatchPlan::divide(int64_t shares) {
  const auto share = [shares](int64_t all) { return (all + shares - 1) / shares; };
  pictures_ = share(pictures_);
  steps_ = share(steps_);
  for (double* const all : {&prompts_, &step_flop_, &decode_flop_, &pixels_})
    *all /= static_cast<double>(shares);
}

int64_t BatchPlan::processes() const {
  return std::max<int64_t>(1, std::min(std::max<int64_t>(1, settings_.workers), pictures_));
}

/// Pictures that one process can have in a call of the UNet.
int64_t BatchPlan::rows() const {
  const int64_t each = (pictures_ + processes() - 1) / processes();
  return std::max<int64_t>(1, std::min(settings_.runner.most_rows, each));
}

/// Of all pictures, by threads that compute `peak` operations a second together.
BatchPlan::PhaseSeconds BatchPlan::phases(double peak) const {
  const auto size = static_cast<double>(c10::elementSize(settings_.compute.dtype));
  const auto network = [&](double flop, double calls, double parameters) {
    return flop / (kNetworkShare * peak) + calls * size * parameters / kWeightRate;
  };
  const bool together = settings_.runner.calls == RowCalls::kTogether;
  const double calls = static_cast<double>(steps_) / (together ? static_cast<double>(rows()) : 1);
  const double unet = bench::unet_work(model_.unet(), {1, 1}, 1).parameters;
  return {.text = network(prompts_ * prompt_.work.flop(), prompts_, prompt_.work.parameters),
          .steps = network(step_flop_, calls, unet),
          .decode = decode_flop_ / (kDecoderShare * peak),
          .write = static_cast<double>(pictures_) * kFileSeconds + pixels_ * kPixelSeconds};
}

/// What the phases of all processes take, one process after the other.
double BatchPlan::overlapped(const PhaseSeconds& of) const {
  // Beside the UNet there must be a core for each thread; else the phases share one, as in turn.
  const bool beside = settings_.runner.phases == batch::Phases::kBeside &&
                      processes() * (settings_.runner.threads + 1) <= cores();
  const double in_turn = of.text + of.steps + of.decode;
  const double longest = std::max(beside ? std::max({of.text, of.steps, of.decode}) : in_turn, of.write);
  // The last pictures that share a call leave it together: their decoding has no steps to be beside.
  const double last = static_cast<double>(rows() * processes()) / static_cast<double>(pictures_);
  return longest + std::min(1.0, last) * std::max(0.0, in_turn - longest);
}

double BatchPlan::seconds() const {
  if (pictures_ == 0) return 0;
  use_threads(settings_.runner.threads);
  const double work =
      overlapped(phases(bench::measured_peak(settings_.compute.dtype, settings_.compute.gpu.get())));
  const auto share = static_cast<double>(processes());
  const double load = bench::weight_bytes(model_, settings_.compute.estimate_dtype()) / kLoadRate;
  // More threads than cores wait for each other.
  const double crowd = std::max(1.0, share * settings_.runner.threads / static_cast<double>(cores()));
  return kStartSeconds + crowd * (load + work / share);
}

/// Of one process that draws: pictures take steps together, and are decoded one at a time meanwhile.
double BatchPlan::drawing_memory() const {
  const bool single = pictures_ <= processes();
  const double kept = std::min((single ? kKeptOfFirst : kKeptOfMany) * decode_bytes_, kMostKept);
  // After the last step, two decode at a time where there is a thread for it.
  const bool two = settings_.runner.phases == batch::Phases::kBeside && settings_.compute.on_cpu() && !single;
  const double beside_decoding =
      std::max(static_cast<double>(rows()) * step_bytes_, two ? decode_bytes_ : 0.0);
  return kProcessBytes +
         (1 + kWeightsTwice) * bench::weight_bytes(model_, settings_.compute.estimate_dtype()) +
         beside_decoding + decode_bytes_ + kept;
}

double BatchPlan::memory() const {
  if (settings_.workers == 0) return drawing_memory();
  return kParentBytes + static_cast<double>(processes()) * drawing_memory();
}

BatchPlan::Estimate BatchPlan::estimate(const std::filesystem::path& directory) const {
  constexpr double kBytesAPixel = 3;
  constexpr double kBytesAFile = 8192;  // its recipe, and a block of the file system
  Estimate result;
  result.pictures = pictures_;
  result.steps = steps_;
  result.processes = processes();
  result.threads = settings_.runner.threads;
  result.free_memory = settings_.compute.free_memory();  // before the measurement takes some
  result.seconds = seconds();
  result.memory_bytes = memory();
  result.disk_bytes = static_cast<double>(pictures_) * kBytesAFile + pixels_ * kBytesAPixel;
  std::error_code failed;
  const std::filesystem::space_info space = std::filesystem::space(directory, failed);
  if (!failed) result.free_disk = static_cast<double>(space.available);
  return result;
}

nlohmann::json plan_json(const BatchPlan::Estimate& estimate) {
  return {{"pictures", estimate.pictures},
          {"steps", estimate.steps},
          {"processes", estimate.processes},
          {"threads", estimate.threads},
          {"seconds", estimate.seconds},
          {"memory_bytes", estimate.memory_bytes},
          {"free_memory_bytes", or_null(estimate.free_memory)},
          {"disk_bytes", estimate.disk_bytes},
          {"free_disk_bytes", or_null(estimate.free_disk)}};
}

std::vector<std::string> plan_lines(const BatchPlan::Estimate& estimate) {
  const auto of_free = [](double bytes, const std::optional<double>& free) {
    return size_text(bytes) + (free ? " of " + size_text(*free) + " free" : "");
  };
  return {"to draw: " + count_text(estimate.pictures, "picture") + ", " + count_text(estimate.steps, "step") +
              "; about " + duration_text(estimate.seconds),
          "memory: about " + of_free(estimate.memory_bytes, estimate.free_memory),
          "disk: at most " + of_free(estimate.disk_bytes, estimate.free_disk)};
}

void check_plan(const BatchPlan::Estimate& estimate, const std::filesystem::path& directory) {
  if (estimate.free_memory && estimate.memory_bytes > *estimate.free_memory) {
    throw Error(ExitCode::kOutOfMemory, "--plan",
                "needs about " + size_text(estimate.memory_bytes) + " of memory, " +
                    size_text(*estimate.free_memory) + " are free",
                "use a smaller --batch-size, smaller pictures, fewer --devices or --dtype bf16");
  }
  if (estimate.free_disk && estimate.disk_bytes > *estimate.free_disk) {
    throw Error(ExitCode::kOutputFailed, directory.string(),
                "the pictures may take " + size_text(estimate.disk_bytes) + ", " +
                    size_text(*estimate.free_disk) + " are free",
                "name a directory with more room");
  }
}

}  // namespace brume::cli
