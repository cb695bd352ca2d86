#include "brume/pipeline/picture_words.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "brume/pipeline/pipeline.h"
#include "brume/pipeline/request.h"

namespace brume {

WordsInTime::WordsInTime(const Pipeline& pipeline, const Request& request, PictureWords words)
    : pipeline_(&pipeline),
      words_(std::move(words)),
      guidance_(request.guidance),
      free_u_(request.free_u),
      steps_(request.sampling.steps_taken()),
      timesteps_(network_timesteps(pipeline.model().schedule(), request.sampling)),
      pictures_(static_cast<int64_t>(request.seeds.size())) {
  for (size_t part = 0; part < words_.rows.size(); ++part)
    rows_.push_back({part, guidance_.active() && part == 0, false});
  if (guidance_.perturbed.active()) {
    perturbed_layers_ = perturbed_layers(pipeline.model().unet(), guidance_.perturbed.layers);
    for (size_t part = guidance_.active() ? 1 : 0; part < words_.rows.size(); ++part)
      rows_.push_back({part, false, true});
  }
  if (guidance_.guided_by_image())
    rows_.push_back({.part = 0, .negative = true, .perturbed = false, .blank = true});
  reading_ = reading_in(0);
  prepare();
}

bool WordsInTime::move_to(int64_t step) {
  Reading reading = reading_in(step);
  if (reading == reading_) return false;
  reading_ = std::move(reading);
  prepare();
  return true;
}

WordsInTime::Reading WordsInTime::reading_in(int64_t step) const {
  Reading reading{{}, guidance_.active_in(step, steps_)};
  reading.texts.reserve(rows_.size());
  for (const Row& row : rows_) reading.texts.push_back(words_.rows[row.part].text_in(step));
  return reading;
}

RowChange WordsInTime::change_of(const Row& row) const {
  return {free_u_, row.perturbed ? perturbed_layers_ : nullptr};
}

void WordsInTime::prepare() {
  groups_.clear();
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (rows_[row].negative && !reading_.guided) continue;
    const auto tokens_of = [&](size_t one) { return words_.texts[reading_.texts[one]].context.size(1); };
    const auto same = std::find_if(groups_.begin(), groups_.end(), [&](const WordGroup& group) {
      return tokens_of(group.rows.front()) == tokens_of(row);
    });
    if (same == groups_.end()) {
      groups_.push_back({{row}, {}, {}, {}});
    } else {
      same->rows.push_back(row);
    }
  }
  const bool changes = free_u_ || perturbed_layers_ != nullptr;
  for (WordGroup& group : groups_) {
    const auto stacked = [&](at::Tensor Conditioning::*part) {
      std::vector<at::Tensor> parts;
      parts.reserve(group.rows.size());
      for (const size_t row : group.rows)
        parts.push_back((words_.texts[reading_.texts[row]].*part).repeat_interleave(pictures_, 0));
      return at::cat(parts);
    };
    group.conditioning.context = stacked(&Conditioning::context);
    if (words_.texts.front().pooled.defined()) {
      group.conditioning.pooled = stacked(&Conditioning::pooled);
      group.conditioning.time_ids = stacked(&Conditioning::time_ids);
    }
    if (words_.texts.front().scale.defined()) group.conditioning.scale = stacked(&Conditioning::scale);
    group.words = pipeline_->prepare(group.conditioning);
    group.times = TimeTable(timesteps_);
    if (!changes) continue;
    for (const size_t row : group.rows)
      group.words.changes.insert(group.words.changes.end(), static_cast<size_t>(pictures_),
                                 change_of(rows_[row]));
  }
}

at::Tensor WordsInTime::input(const WordGroup& group, const at::Tensor& latents) const {
  const auto count = static_cast<int64_t>(group.rows.size());
  if (!beside_.defined()) return count > 1 ? latents.repeat({count, 1, 1, 1}) : latents;
  std::vector<at::Tensor> inputs;
  inputs.reserve(group.rows.size());
  for (const size_t row : group.rows)
    inputs.push_back(at::cat({latents, rows_[row].blank ? at::zeros_like(beside_) : beside_}, 1));
  return at::cat(inputs);
}

/// All parts of the prompt together, as they are or as they are perturbed. Without a negative prompt the
/// first part stands for it, as in A1111: `negative` is undefined then.
at::Tensor WordsInTime::composed(const std::vector<at::Tensor>& predictions, const at::Tensor& negative,
                                 bool perturbed) const {
  std::vector<at::Tensor> parts;
  std::vector<double> weights;
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (rows_[row].negative || rows_[row].perturbed != perturbed) continue;
    parts.push_back(predictions[row]);
    weights.push_back(words_.rows[rows_[row].part].weight);
  }
  return compose(negative.defined() ? negative : parts.front(), parts, weights);
}

NetworkOutput WordsInTime::output(const std::vector<at::Tensor>& predictions, const at::Tensor& latents,
                                  const NoiseLevel& level) const {
  Predictions said;
  if (reading_.guided) said.negative = predictions.front();
  for (size_t i = 0; reading_.guided && i < rows_.size(); ++i) {
    if (rows_[i].blank) said.blank = predictions[i];
  }
  said.positive = composed(predictions, said.negative, /*perturbed=*/false);
  if (guidance_.perturbed.active()) said.perturbed = composed(predictions, said.negative, /*perturbed=*/true);
  const Prediction kind = pipeline_->model().schedule().config().prediction;
  return {guide(said, guidance_, {kind, latents, level}), reading_.guided ? said.negative : said.positive};
}

}  // namespace brume
