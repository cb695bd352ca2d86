#include "adapter_patch.h"

#include <ATen/ATen.h>

#include <cmath>

#include "brume/base/error.h"
#include "brume/weights/adapters/adapter_delta.h"

namespace brume {

AdapterPatch::AdapterPatch(std::shared_ptr<const OpenAdapter> adapter, const AdapterModule& module,
                           AdapterForm form, const ModulePlace& place, double strength)
    : adapter_(std::move(adapter)),
      module_(&module),
      form_(std::move(form)),
      place_(place),
      strength_(strength) {}

AdapterPatch::AdapterPatch(std::shared_ptr<const OpenAdapter> adapter, const AdapterModule& module,
                           AdapterRole change, const ModulePlace& place, double strength)
    : adapter_(std::move(adapter)), module_(&module), bias_(change), place_(place), strength_(strength) {}

void AdapterPatch::apply(at::Tensor& target) const {
  const at::Tensor delta = form_ ? weight_delta(target.sizes()) : bias_delta().view(target.sizes());
  check_finite(delta);
  std::optional<at::Tensor> magnitude;
  // PEFT's is of outputs whatever its shape.
  if (module_->find(AdapterRole::kMagnitude) != nullptr) magnitude = read(AdapterRole::kMagnitude).flatten();
  if (module_->find(AdapterRole::kDoraScale) != nullptr) magnitude = read(AdapterRole::kDoraScale);
  if (!form_ || !magnitude) {
    target.add_(delta, strength_);
    return;
  }
  const at::Tensor changed = with_magnitude(target + delta, *magnitude);
  check_finite(changed);
  target.add_(changed.sub_(target), strength_);
}

at::Tensor AdapterPatch::read(AdapterRole role) const {
  const StoredTensor& stored = *module_->find(role);
  const std::vector<int64_t> shape(stored.shape.begin(), stored.shape.end());
  return adapter_->tensors.view(at::kFloat).tensor(stored.name, shape);
}

/// Of a weight of this shape, which is all of the module's or a part of its outputs.
at::Tensor AdapterPatch::weight_delta(at::IntArrayRef shape) const {
  AdapterTensors tensors;
  for (const auto& [role, stored] : module_->tensors) {
    if (role != AdapterRole::kAlpha) tensors.emplace(role, read(role));
  }
  std::vector<int64_t> whole = shape.vec();
  whole[0] *= place_.parts;
  if (place_.inputs) whole[1] = *place_.inputs;
  at::Tensor delta = adapter_delta(form_->kind, tensors, whole);
  if (form_->rank) delta = delta.mul_(adapter_->file.scale(*module_, *form_->rank));
  if (place_.inputs) delta = at::constant_pad_nd(delta, {0, 0, 0, 0, 0, shape[1] - *place_.inputs});
  return part_of(delta);
}

at::Tensor AdapterPatch::bias_delta() const {
  at::Tensor change = part_of(read(bias_));
  if (bias_ == AdapterRole::kDiffBias) return change;
  return change * adapter_->file.scale(*module_, module_->find(AdapterRole::kDown)->shape[0]);
}

at::Tensor AdapterPatch::part_of(const at::Tensor& all) const {
  return all.chunk(place_.parts)[static_cast<size_t>(place_.part)];
}

void AdapterPatch::check_finite(const at::Tensor& values) const {
  // A sum is quick; one of finite numbers that overflows is looked at once more.
  if (std::isfinite(values.sum().item<float>()) || at::isfinite(values).all().item<bool>()) return;
  throw Error(
      ExitCode::kModelInvalid, adapter_->file.path().string(),
      "\"" + module_->tensors.begin()->second.name + "\" and its fellows make numbers that are not finite",
      "the file is damaged: fetch it again, or another one");
}

}  // namespace brume
