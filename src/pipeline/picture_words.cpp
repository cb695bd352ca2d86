#include "brume/pipeline/picture_words.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "brume/pipeline/pipeline.h"

namespace brume {

WordsInTime::WordsInTime(const Pipeline& pipeline, PictureWords words, int64_t pictures)
    : pipeline_(&pipeline), words_(std::move(words)), pictures_(pictures), texts_(texts_in(0)) {
  prepare();
}

bool WordsInTime::move_to(int64_t step) {
  std::vector<size_t> texts = texts_in(step);
  if (texts == texts_) return false;
  texts_ = std::move(texts);
  prepare();
  return true;
}

std::vector<size_t> WordsInTime::texts_in(int64_t step) const {
  std::vector<size_t> texts;
  texts.reserve(words_.rows.size());
  for (const PlannedPart& row : words_.rows) texts.push_back(row.text_in(step));
  return texts;
}

void WordsInTime::prepare() {
  groups_.clear();
  for (size_t row = 0; row < texts_.size(); ++row) {
    const int64_t tokens = words_.texts[texts_[row]].context.size(1);
    const auto same = std::find_if(groups_.begin(), groups_.end(), [&](const WordGroup& group) {
      return words_.texts[texts_[group.rows.front()]].context.size(1) == tokens;
    });
    if (same == groups_.end()) {
      groups_.push_back({{row}, {}, {}});
    } else {
      same->rows.push_back(row);
    }
  }
  for (WordGroup& group : groups_) {
    const auto stacked = [&](at::Tensor Conditioning::*part) {
      std::vector<at::Tensor> parts;
      parts.reserve(group.rows.size());
      for (const size_t row : group.rows)
        parts.push_back((words_.texts[texts_[row]].*part).repeat_interleave(pictures_, 0));
      return at::cat(parts);
    };
    group.conditioning.context = stacked(&Conditioning::context);
    if (words_.texts.front().pooled.defined()) {
      group.conditioning.pooled = stacked(&Conditioning::pooled);
      group.conditioning.time_ids = stacked(&Conditioning::time_ids);
    }
    group.words = pipeline_->prepare(group.conditioning);
  }
}

NetworkOutput WordsInTime::output(const std::vector<at::Tensor>& predictions,
                                  const GuidanceSettings& guidance) const {
  const auto first_part = guidance.active() ? 1 : 0;
  const std::vector<at::Tensor> parts(predictions.begin() + first_part, predictions.end());
  std::vector<double> weights;
  weights.reserve(parts.size());
  for (size_t row = first_part; row < words_.rows.size(); ++row) weights.push_back(words_.rows[row].weight);
  const at::Tensor& first = predictions.front();
  // Without a negative prompt the first part stands for it, as in A1111.
  const at::Tensor positive = compose(first, parts, weights);
  if (!guidance.active()) return {positive, positive};
  return {guide(first, positive, guidance), first};
}

}  // namespace brume
