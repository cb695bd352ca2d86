#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "kernels/gpu/gpu.h"

namespace brume {

/// Remembers, for each picture of a batch, the first stage at which a number was not finite. A GPU looks when
/// it comes to it, and its answers are read only when somebody asks: the steps do not wait for them.
class FiniteCheck {
 public:
  /// Null: the CPU, which answers at once.
  FiniteCheck(size_t pictures, const kernels::gpu::Gpu* gpu)
      : answers_at_once_(gpu == nullptr), failed_stages_(pictures) {}

  /// Looks at every element of `tensor` [N, ...], picture by picture.
  void look(const at::Tensor& tensor, const std::string& stage);
  /// As look, for a tensor that all pictures share.
  void look_at_shared(const at::Tensor& tensor, const std::string& stage);
  /// Empty where the picture is sound.
  const std::string& failed_stage(size_t picture);
  /// Whether none is known to be sound; what a GPU has not answered yet does not count.
  bool all_failed() const;

 private:
  void read_answers();
  void take(const std::vector<bool>& sound, const std::string& stage);

  bool answers_at_once_;
  std::vector<std::string> failed_stages_;
  std::vector<std::pair<at::Tensor, std::string>> asked_;  // bools [N], all of one device, and their stages
};

/// True for each picture [N, ...] whose elements are all finite.
std::vector<bool> finite_rows(const at::Tensor& tensor);

}  // namespace brume
