#include "finite.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace brume {

std::vector<bool> finite_rows(const at::Tensor& tensor) {
  const at::Tensor rows = at::isfinite(tensor).flatten(1).all(1).contiguous();  // [N]
  const bool* values = rows.const_data_ptr<bool>();
  return std::vector<bool>(values, values + rows.numel());
}

void FiniteCheck::look(const at::Tensor& tensor, const std::string& stage) {
  const std::vector<bool> sound = finite_rows(tensor);
  for (size_t i = 0; i < failed_stages_.size(); ++i) {
    if (!sound[i] && failed_stages_[i].empty()) failed_stages_[i] = stage;
  }
}

void FiniteCheck::look_at_shared(const at::Tensor& tensor, const std::string& stage) {
  if (at::isfinite(tensor).all().item<bool>()) return;
  for (std::string& failed : failed_stages_) {
    if (failed.empty()) failed = stage;
  }
}

bool FiniteCheck::all_failed() const {
  return std::none_of(failed_stages_.begin(), failed_stages_.end(),
                      [](const std::string& s) { return s.empty(); });
}

}  // namespace brume
