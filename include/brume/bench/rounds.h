#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "brume/bench/limits.h"
#include "brume/bench/result.h"
#include "brume/bench/work.h"
#include "brume/image/picture.h"
#include "brume/pipeline/pipeline.h"
#include "kernels/gpu/gpu.h"

namespace brume::bench {

/// How far a measurement has come.
struct RoundsProgress {
  int64_t round = 0;  // 0: warming up
  int64_t step = 0;
  Summary steps;  // after the rounds so far
};

/// What draw_rounds has drawn and measured.
struct Rounds {
  Component text;
  Component step;
  Component decode;
  std::vector<double> seconds;
  std::vector<Picture> pictures;  // of the last round
  std::string failed_stage;
  bool converged = false;
  bool repeatable = true;
  bool stopped = false;
};

/// Draws the request again and again, by Pipeline::generate, and takes the time of its parts. Ends when the
/// intervals of steps and of whole rounds are narrow enough, or at a limit, but not before one round; or when
/// `go_on`, asked after each step, says no.
Rounds draw_rounds(const Pipeline& pipeline, const Request& request, const Limits& limits,
                   const std::function<bool(const RoundsProgress&)>& go_on);

/// Fills in how much work the parts of a round are. `words` are the request's, by Pipeline::words.
void count_work(const ModelConfig& model, const Request& request, const PictureWords& words, Rounds& rounds);

/// The option of a workload that its words are.
inline constexpr const char* kTokensOption = "tokens";

/// What of a workload's options the words are: {"tokens", "154+77"}, of the texts that the UNet reads, the
/// negative prompt's first. Nothing for prompts of one window and one part.
std::map<std::string, std::string> word_options(const ModelConfig& model, const Request& request,
                                                const PictureWords& words);

/// What encoding a prompt takes, of one length of the text encoder; longer prompts take it again.
struct PromptWork {
  int64_t tokens = 0;
  Work work;  // of all encoders
};
PromptWork prompt_work(const ModelConfig& model);

/// Bytes of a model's weights in this dtype.
double weight_bytes(const ModelConfig& model, at::ScalarType dtype);

/// The best rate of a 3x3 convolution in this dtype with the threads that libtorch has now, or on a GPU, in
/// floating point operations a second: what the device can do at most, in the arithmetic that diffusion is
/// made of.
double measured_peak(at::ScalarType dtype, const kernels::gpu::Gpu* gpu = nullptr);

}  // namespace brume::bench
