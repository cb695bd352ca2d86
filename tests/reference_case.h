#pragma once
#include <ATen/ATen.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "brume/weights/weights.h"

namespace brume::testing {

/// A directory of tests/reference: its parameters, and tensors that the reference implementation computed.
class ReferenceCase {
 public:
  /// `name` below tests/reference, such as "cases/sd1_unet".
  explicit ReferenceCase(const std::string& name);

  const std::filesystem::path& path() const { return path_; }
  const nlohmann::json& parameters() const { return parameters_; }
  /// A real tensor as fp32.
  at::Tensor tensor(const std::string& name) const;
  /// An integer tensor as int64.
  at::Tensor integers(const std::string& name) const;
  bool has(const std::string& name) const { return weights_.view(at::kFloat).contains(name); }

 private:
  std::filesystem::path path_;
  nlohmann::json parameters_;
  Weights weights_;
};

/// tests/reference/`name`
std::filesystem::path reference_path(const std::string& name);

/// Fails the test unless both have one shape and every element differs by at most `tolerance` times the
/// larger of 1 and the reference's largest magnitude.
void expect_close(const at::Tensor& ours, const at::Tensor& reference, const std::string& what,
                  double tolerance = 1e-4);

}  // namespace brume::testing
