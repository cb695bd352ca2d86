#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "brume/diffusion/guidance.h"
#include "brume/diffusion/samplers.h"
#include "brume/pipeline/time_table.h"
#include "brume/text/prompt_plan.h"
#include "brume/unet/row_change.h"
#include "brume/unet/unet.h"

namespace brume {

class Pipeline;
struct Request;

/// The words of one picture: all texts that it is drawn from, and which of them the UNet reads in which step.
struct PictureWords {
  std::vector<Conditioning> texts;  // each of one row, context [1, T, D]; T differs where windows do
  std::vector<PlannedPart> rows;    // of the UNet: the negative prompt first where there is guidance
};

/// Rows that read texts of one length, as they go through the UNet together.
struct WordGroup {
  std::vector<size_t> rows;   // of WordsInTime
  Conditioning conditioning;  // [rows * N, T, D], row after row
  PreparedWords words;
  TimeTable times = {};
};

/// The words of N pictures of one request, made ready for one step after the other. Rows of other lengths
/// are not padded: it would change what they say. Its rows are those of the words, and where there is
/// perturbed guidance those of the prompt's parts once more; only those that the step needs are in groups.
class WordsInTime {
 public:
  /// For the first step. `pipeline` must outlive it.
  WordsInTime(const Pipeline& pipeline, const Request& request, PictureWords words);

  /// True where other rows are there, or other texts are read, in `step` than in the one before.
  bool move_to(int64_t step);
  /// For a UNet that sees more than the latents, before its first call: [N, channels, h, w] fp32.
  void set_beside(at::Tensor beside) { beside_ = std::move(beside); }

  std::vector<WordGroup>& groups() { return groups_; }
  const std::vector<WordGroup>& groups() const { return groups_; }
  const PictureWords& words() const { return words_; }
  /// Rows that one picture has at most.
  size_t rows() const { return rows_.size(); }
  /// What the UNet gets for a group: `latents` [N, C, h, w], and what it sees beside them ->
  /// [rows of the group * N, in_channels, h, w].
  at::Tensor input(const WordGroup& group, const at::Tensor& latents) const;
  /// What the UNet reads of the time for one of the groups: [rows of the group * N, columns].
  at::Tensor times(WordGroup& group, double timestep) const {
    return group.times.at(timestep, *pipeline_, group.words);
  }
  /// What the sampler goes by, of a prediction [N, C, h, w] for each row that is in a group, for latents of
  /// the same shape.
  NetworkOutput output(const std::vector<at::Tensor>& predictions, const at::Tensor& latents,
                       const NoiseLevel& level) const;

 private:
  struct Row {
    size_t part;  // of PictureWords
    bool negative;
    bool perturbed;
    bool blank = false;  // sees no picture beside the latents
  };
  /// What is read in a step.
  struct Reading {
    std::vector<size_t> texts;  // by row
    bool guided;                // whether the negative prompt is looked at

    bool operator==(const Reading&) const = default;
  };

  Reading reading_in(int64_t step) const;
  void prepare();
  RowChange change_of(const Row& row) const;
  at::Tensor composed(const std::vector<at::Tensor>& predictions, const at::Tensor& negative,
                      bool perturbed) const;

  const Pipeline* pipeline_;
  PictureWords words_;
  GuidanceSettings guidance_;
  std::optional<FreeU> free_u_;
  PerturbedLayers perturbed_layers_;
  int64_t steps_;
  std::vector<double> timesteps_;  // of the walk, each once
  int64_t pictures_;
  std::vector<Row> rows_;
  at::Tensor beside_;
  Reading reading_;  // now
  std::vector<WordGroup> groups_;
};

}  // namespace brume
