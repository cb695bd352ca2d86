#pragma once
#include <cstdint>
#include <vector>

#include "brume/diffusion/guidance.h"
#include "brume/diffusion/samplers.h"
#include "brume/text/prompt_plan.h"
#include "brume/unet/unet.h"

namespace brume {

class Pipeline;

/// The words of one picture: all texts that it is drawn from, and which of them the UNet reads in which step.
struct PictureWords {
  std::vector<Conditioning> texts;  // each of one row, context [1, T, D]; T differs where windows do
  std::vector<PlannedPart> rows;    // of the UNet: the negative prompt first where there is guidance
};

/// Rows that read texts of one length, as they go through the UNet together.
struct WordGroup {
  std::vector<size_t> rows;   // of PictureWords
  Conditioning conditioning;  // [rows * N, T, D], row after row
  PreparedWords words;
};

/// The words of N pictures of one request, made ready for one step after the other. Rows of other lengths
/// are not padded: it would change what they say.
class WordsInTime {
 public:
  /// For the first step. `pipeline` must outlive it.
  WordsInTime(const Pipeline& pipeline, PictureWords words, int64_t pictures);

  /// True where another text is read in `step` than in the one before.
  bool move_to(int64_t step);

  const std::vector<WordGroup>& groups() const { return groups_; }
  const PictureWords& words() const { return words_; }
  /// Rows that one picture has.
  size_t rows() const { return words_.rows.size(); }
  /// What the sampler goes by, of a prediction [N, C, h, w] for each row.
  NetworkOutput output(const std::vector<at::Tensor>& predictions, const GuidanceSettings& guidance) const;

 private:
  std::vector<size_t> texts_in(int64_t step) const;
  void prepare();

  const Pipeline* pipeline_;
  PictureWords words_;
  int64_t pictures_;
  std::vector<size_t> texts_;  // that the rows read now
  std::vector<WordGroup> groups_;
};

}  // namespace brume
