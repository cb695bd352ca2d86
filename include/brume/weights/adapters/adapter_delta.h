#pragma once
#include <ATen/core/Tensor.h>

#include <map>

#include "brume/weights/adapters/adapter_form.h"

namespace brume {

/// The tensors of a module, fp32.
using AdapterTensors = std::map<AdapterRole, at::Tensor>;

// The changes of a weight [out, in] or [out, in, kh, kw] (`shape`) that a module's tensors make, before
// alpha. Shapes as adapter_form found them; all is fp32.

/// LoRA (arXiv 2106.09685): up down. LoCon with a core: up [out, r], mid [r, s, kh, kw], down [s, in].
at::Tensor lora_delta(const AdapterTensors& tensors, at::IntArrayRef shape);
/// LoHa (FedPara, arXiv 2108.06098, as LyCORIS has it): (w1_a w1_b) * (w2_a w2_b), or each around its core t.
at::Tensor loha_delta(const AdapterTensors& tensors, at::IntArrayRef shape);
/// LoKr (LyCORIS, arXiv 2309.14859): the Kronecker product of w1 and w2.
at::Tensor lokr_delta(const AdapterTensors& tensors, at::IntArrayRef shape);
/// Any of them, by its kind.
at::Tensor adapter_delta(AdapterKind kind, const AdapterTensors& tensors, at::IntArrayRef shape);

/// DoRA (arXiv 2402.09353): `changed`, a weight with its change, with each row's norm (or each input's, where
/// `magnitude` is [1, in, ...]) made that of `magnitude`.
at::Tensor with_magnitude(const at::Tensor& changed, const at::Tensor& magnitude);

}  // namespace brume
