#include "brume/weights/adapters/adapter_delta.h"

#include <ATen/ATen.h>

#include <limits>

namespace brume {

namespace {

at::Tensor matrix(const at::Tensor& factor) { return factor.flatten(1); }

/// core [r, s, kh, kw] between a [r, out] and b [s, in] -> [out, in, kh, kw]
at::Tensor around(const at::Tensor& core, const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor inner = at::matmul(matrix(b).t(), core.flatten(2));  // [r, in, kh kw]
  return at::matmul(matrix(a).t(), inner.flatten(1));                   // [out, in kh kw]
}

at::Tensor product(const AdapterTensors& tensors, AdapterRole a, AdapterRole b) {
  return at::matmul(matrix(tensors.at(a)), matrix(tensors.at(b)));
}

/// The same around a core, where there is one.
at::Tensor product(const AdapterTensors& tensors, AdapterRole a, AdapterRole b, AdapterRole core) {
  const auto found = tensors.find(core);
  if (found == tensors.end()) return product(tensors, a, b);
  return around(found->second, tensors.at(a), tensors.at(b));
}

}  // namespace

at::Tensor lora_delta(const AdapterTensors& tensors, at::IntArrayRef shape) {
  const at::Tensor up = matrix(tensors.at(AdapterRole::kUp));
  const at::Tensor& down = tensors.at(AdapterRole::kDown);
  const auto mid = tensors.find(AdapterRole::kMid);
  if (mid == tensors.end()) return at::matmul(up, matrix(down)).view(shape);
  return around(mid->second, up.t(), matrix(down)).view(shape);
}

at::Tensor loha_delta(const AdapterTensors& tensors, at::IntArrayRef shape) {
  using enum AdapterRole;
  return product(tensors, kHadaW1A, kHadaW1B, kHadaT1)
      .mul_(product(tensors, kHadaW2A, kHadaW2B, kHadaT2))
      .view(shape);
}

at::Tensor lokr_delta(const AdapterTensors& tensors, at::IntArrayRef shape) {
  using enum AdapterRole;
  const at::Tensor w1 =
      tensors.contains(kLokrW1) ? tensors.at(kLokrW1) : product(tensors, kLokrW1A, kLokrW1B);
  const at::Tensor w2 =
      tensors.contains(kLokrW2) ? tensors.at(kLokrW2) : product(tensors, kLokrW2A, kLokrW2B, kLokrT2);
  // Of convolutions too: the pixels of a kernel are the last and stay so.
  return at::kron(matrix(w1).contiguous(), matrix(w2).contiguous()).view(shape);
}

at::Tensor adapter_delta(AdapterKind kind, const AdapterTensors& tensors, at::IntArrayRef shape) {
  switch (kind) {
    case AdapterKind::kLora:
      return lora_delta(tensors, shape);
    case AdapterKind::kLoha:
      return loha_delta(tensors, shape);
    case AdapterKind::kLokr:
      return lokr_delta(tensors, shape);
    case AdapterKind::kFull:
      return tensors.at(AdapterRole::kDiff).view(shape);
  }
  return {};
}

at::Tensor with_magnitude(const at::Tensor& changed, const at::Tensor& magnitude) {
  const bool of_inputs = magnitude.dim() > 1 && magnitude.size(0) == 1 && changed.size(0) != 1;
  const at::Tensor rows = of_inputs ? changed.transpose(0, 1) : changed;
  std::vector<int64_t> by_row(static_cast<size_t>(changed.dim()), 1);
  by_row[of_inputs ? 1 : 0] = rows.size(0);
  const at::Tensor norms = rows.flatten(1).norm(2, 1) + std::numeric_limits<float>::epsilon();
  return changed * (magnitude.flatten() / norms).view(by_row);
}

}  // namespace brume
