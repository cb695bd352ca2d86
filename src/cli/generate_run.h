#pragma once
#include <ATen/core/Tensor.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/image/recipe.h"
#include "brume/pipeline/chosen_words.h"
#include "brume/pipeline/picture_inputs.h"
#include "brume/pipeline/pipeline.h"
#include "brume/pipeline/request.h"
#include "generate_options.h"
#include "picture_files.h"
#include "progress.h"
#include "report.h"

namespace brume::cli {

/// Draws the bar, passes signals on, and keeps the stages where they are asked for.
class RunObserver : public Observer {
 public:
  RunObserver(int64_t pictures, int64_t steps, bool keep_stages)
      : bar_(pictures * steps), keep_stages_(keep_stages) {}

  void on_stage(std::string_view name, const at::Tensor& tensor) override;
  void on_step(int64_t done, int64_t total) override;
  bool stop_requested() override;

  void begin_batch(int64_t pictures);
  ProgressBar& bar() { return bar_; }
  const std::map<std::string, at::Tensor>& stages() const { return stages_; }
  /// When the first step was done, on a GPU: begun.
  std::optional<std::chrono::steady_clock::time_point> first_step() const { return first_step_; }

 private:
  ProgressBar bar_;
  bool keep_stages_;
  int64_t before_ = 0;      // steps of finished batches
  int64_t batch_ = 0;       // pictures in this one
  int64_t last_total_ = 0;  // steps of each picture
  std::optional<std::chrono::steady_clock::time_point> first_step_;
  std::map<std::string, at::Tensor> stages_;
};

/// All pictures of a run, and what has been read of those that they are made from.
struct AskedPictures {
  const Request& request;
  std::optional<EditedPixels> pixels;
};

/// One run of brume generate: batch after batch, each picture written as soon as it is done.
class GenerateRun {
 public:
  /// What is passed by reference must outlive the run.
  GenerateRun(const Pipeline& pipeline, AskedPictures all, const RunOptions& options, PictureFiles files,
              RecipeEngine engine);

  /// Returns early where a signal asks for it.
  void draw_all();
  /// Writes the tensors that were asked for, of what has been drawn.
  void save_tensors() const;
  const Tally& tally() const { return tally_; }
  const RunObserver& observer() const { return observer_; }

 private:
  std::optional<PictureInputs> take_inputs();
  Request next_batch(size_t first) const;
  void deliver(const Request& batch, const PictureResult& result, size_t index);

  const Pipeline& pipeline_;
  const Request& all_;
  std::optional<EditedPixels> pixels_;  // until they are encoded
  const RunOptions& options_;
  Wildcards wildcards_;
  PictureFiles files_;
  RecipeEngine engine_;
  RunObserver observer_;
  Tally tally_;
  std::vector<at::Tensor> latents_;
};

}  // namespace brume::cli
