#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <utility>

#include "brume/weights/adapters/adapter_file.h"
#include "brume/weights/adapters/adapter_form.h"
#include "brume/weights/adapters/module_names.h"
#include "brume/weights/weights.h"

namespace brume {

/// An adapter's file, for its structure and for its tensors.
struct OpenAdapter {
  explicit OpenAdapter(const std::filesystem::path& path) : file(path), tensors(Weights::open_file(path)) {}

  AdapterFile file;
  Weights tensors;
};

/// What one module of an adapter does to one tensor of the model.
class AdapterPatch {
 public:
  /// To a weight. `module` is one of the adapter's.
  AdapterPatch(std::shared_ptr<const OpenAdapter> adapter, const AdapterModule& module, AdapterForm form,
               const ModulePlace& place, double strength);
  /// To a bias, of which `change` is the module's.
  AdapterPatch(std::shared_ptr<const OpenAdapter> adapter, const AdapterModule& module, AdapterRole change,
               const ModulePlace& place, double strength);

  /// Changes `target`, fp32 and nobody else's. Throws kModelInvalid for numbers that are not finite.
  void apply(at::Tensor& target) const;

 private:
  at::Tensor read(AdapterRole role) const;
  at::Tensor weight_delta(at::IntArrayRef shape) const;
  at::Tensor bias_delta() const;
  at::Tensor part_of(const at::Tensor& all) const;
  void check_finite(const at::Tensor& values) const;

  std::shared_ptr<const OpenAdapter> adapter_;
  const AdapterModule* module_;
  std::optional<AdapterForm> form_;  // of a weight's change
  AdapterRole bias_ = AdapterRole::kDiffBias;
  ModulePlace place_;
  double strength_;
};

}  // namespace brume
