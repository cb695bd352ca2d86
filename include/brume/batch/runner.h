#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "brume/pipeline/request.h"

namespace brume::batch {

/// A picture to be made: a request of one seed.
struct Work {
  uint64_t ticket = 0;
  Request request;
};

/// A note of a picture, and after it how many of the prompt's tokens the model does not see.
inline constexpr std::string_view kPromptCut = "prompt_cut";
/// The same, and after it what of the prompt does not say what it seems to.
inline constexpr std::string_view kPromptIgnored = "prompt_ignored";

/// What became of it.
struct Made {
  uint64_t ticket = 0;
  PictureResult result;
  std::string failure;  // why there is no picture; empty where there is one
  // Of the worker that made it, as recipes have it: several may draw from one list. Empty: as the job says.
  std::string device = {};
};

/// Seconds of work of each phase; phases overlap, so that their sum is more than the run took.
struct Busy {
  std::atomic<double> load = 0;  // of the model, by workers: a Runner gets one that is loaded
  std::atomic<double> text = 0;
  std::atomic<double> denoise = 0;
  std::atomic<double> decode = 0;
  std::atomic<double> write = 0;
};

/// Whether words are encoded and latents decoded beside the UNet, a thread each, or in turn with it by all
/// threads: beside it they would only take the threads of a UNet that keeps the whole machine busy.
enum class Phases { kBeside, kInTurn };

struct RunnerSettings {
  int64_t most_rows = 1;  // pictures in one call of the UNet
  RowCalls calls = RowCalls::kTogether;
  Phases phases = Phases::kInTurn;
  int threads = 1;                         // of the UNet
  std::chrono::duration<double> grace{0};  // a stop lets pictures end that need no longer
};

/// Leads pictures through a pipeline, many at a time: words are encoded, latents decoded and pictures written
/// while the UNet works on the others. Queues between the phases are bounded, so that memory stays the same
/// however many pictures there are.
class Runner {
 public:
  /// Gives the next picture, or nothing at the end. Called from a thread of the runner's; it may wait, but
  /// not on once the run is ending().
  using Source = std::function<std::optional<Work>()>;
  /// Takes the finished ones, one at a time, from another thread.
  using Sink = std::function<void(Made)>;

  /// `pipeline` must outlive the runner.
  Runner(const Pipeline& pipeline, const RunnerSettings& settings, Source source, Sink sink,
         std::function<bool()> stop_requested);

  /// Runs until the source has ended and everything is handed to the sink, or until a stop. What a phase
  /// throws ends the run and is thrown here, after what was done has reached the sink. True where no stop
  /// ended it.
  bool run();

  /// True once what a phase threw, or a stop that was seen, ends the run. From any thread: a source that
  /// waits, for more of its input say, must ask and give nothing more, since the run ends no sooner than it.
  bool ending() const { return ending_; }
  const Busy& busy() const { return busy_; }
  /// Denoising steps of all pictures so far. From any thread.
  int64_t steps_done() const { return steps_done_; }

 private:
  class Run;

  const Pipeline& pipeline_;
  RunnerSettings settings_;
  Source source_;
  Sink sink_;
  std::function<bool()> stop_requested_;
  std::atomic<bool> ending_ = false;
  Busy busy_;
  std::atomic<int64_t> steps_done_ = 0;
};

}  // namespace brume::batch
