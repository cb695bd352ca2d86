#include "finite.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace brume {

namespace {

/// [N, ...] -> bools [N], where the tensor lies.
at::Tensor are_finite(const at::Tensor& tensor) { return at::isfinite(tensor).flatten(1).all(1); }

std::vector<bool> read(const at::Tensor& bools) {
  const at::Tensor here = bools.cpu().contiguous();
  const bool* values = here.const_data_ptr<bool>();
  return std::vector<bool>(values, values + here.numel());
}

}  // namespace

std::vector<bool> finite_rows(const at::Tensor& tensor) { return read(are_finite(tensor)); }

void FiniteCheck::look(const at::Tensor& tensor, const std::string& stage) {
  const at::Tensor sound = are_finite(tensor);
  if (!asked_.empty() && asked_.front().first.device() != sound.device()) read_answers();
  asked_.emplace_back(sound, stage);
  if (answers_at_once_) read_answers();
}

void FiniteCheck::look_at_shared(const at::Tensor& tensor, const std::string& stage) {
  if (at::isfinite(tensor).all().item<bool>()) return;
  read_answers();  // those before it count first
  take(std::vector<bool>(failed_stages_.size(), false), stage);
}

const std::string& FiniteCheck::failed_stage(size_t picture) {
  read_answers();
  return failed_stages_[picture];
}

void FiniteCheck::read_answers() {
  if (asked_.empty()) return;
  std::vector<at::Tensor> answers;
  answers.reserve(asked_.size());
  for (const auto& [sound, stage] : asked_) answers.push_back(sound);
  const at::Tensor all = at::stack(answers).cpu();  // waits once
  for (size_t i = 0; i < asked_.size(); ++i) take(read(all[static_cast<int64_t>(i)]), asked_[i].second);
  asked_.clear();
}

bool FiniteCheck::all_failed() const {
  return std::none_of(failed_stages_.begin(), failed_stages_.end(),
                      [](const std::string& s) { return s.empty(); });
}

void FiniteCheck::take(const std::vector<bool>& sound, const std::string& stage) {
  for (size_t i = 0; i < failed_stages_.size(); ++i) {
    if (!sound[i] && failed_stages_[i].empty()) failed_stages_[i] = stage;
  }
}

}  // namespace brume
