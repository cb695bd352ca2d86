#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace brume {

/// Remembers, for each picture of a batch, the first stage at which a number was not finite.
class FiniteCheck {
 public:
  explicit FiniteCheck(size_t pictures) : failed_stages_(pictures) {}

  /// Looks at every element of `tensor` [N, ...], picture by picture.
  void look(const at::Tensor& tensor, const std::string& stage);
  /// As look, for a tensor that all pictures share.
  void look_at_shared(const at::Tensor& tensor, const std::string& stage);
  /// Empty where the picture is sound.
  const std::string& failed_stage(size_t picture) const { return failed_stages_[picture]; }
  bool all_failed() const;

 private:
  std::vector<std::string> failed_stages_;
};

/// True for each picture [N, ...] whose elements are all finite.
std::vector<bool> finite_rows(const at::Tensor& tensor);

}  // namespace brume
