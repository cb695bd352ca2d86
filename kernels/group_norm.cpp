#include "kernels/group_norm.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <sstream>
#include <stdexcept>

#include "kernels/cpu/machine_for.h"
#include "kernels/gpu/operations.h"
#include "kernels/group_norm_cpu.h"

namespace brume::kernels {

namespace {

bool parts_fit(const MapParts& maps) {
  const at::Tensor& a = maps.first;
  const at::Tensor& b = maps.second;
  if (a.dim() != 4) return false;
  if (!b.defined()) return true;
  return b.dim() == 4 && a.size(0) == b.size(0) && a.sizes().slice(2) == b.sizes().slice(2) &&
         a.scalar_type() == b.scalar_type();
}

void check(const GroupNormInput& input, const at::Tensor& weight, const at::Tensor& bias, int64_t groups) {
  const at::Tensor& x = input.maps.first;
  const bool maps = parts_fit(input.maps);
  const int64_t channels = maps ? input.maps.channels() : 0;
  const bool fits = maps && groups > 0 && channels % groups == 0 &&
                    weight.sizes() == at::IntArrayRef{channels} && bias.sizes() == weight.sizes();
  const at::Tensor& embedding = input.embedding;
  if (fits && (!embedding.defined() || embedding.sizes() == at::IntArrayRef{x.size(0), channels})) return;
  std::ostringstream text;
  text << "group_norm: x [N, C, H, W] with C a multiple of " << groups
       << ", weight and bias [C], embedding [N, C] expected, got " << x.sizes();
  if (input.maps.second.defined()) text << " and " << input.maps.second.sizes();
  text << ", " << weight.sizes() << ", " << bias.sizes();
  if (embedding.defined()) text << ", " << embedding.sizes();
  throw std::invalid_argument(text.str());
}

at::Tensor reference(const GroupNormInput& input, const at::Tensor& weight, const at::Tensor& bias,
                     const GroupNormSettings& settings) {
  const MapParts& maps = input.maps;
  at::Tensor x = maps.second.defined() ? at::cat({maps.first, maps.second}, 1) : maps.first;
  if (input.embedding.defined()) x = x + input.embedding.unsqueeze(-1).unsqueeze(-1);
  at::Tensor y = at::group_norm(x, settings.groups, weight, bias, settings.eps);
  return settings.activation == Activation::kSilu ? at::silu_(y) : y;
}

}  // namespace

at::Tensor group_norm(const GroupNormInput& input, const at::Tensor& weight, const at::Tensor& bias,
                      const GroupNormSettings& settings) {
  check(input, weight, bias, settings.groups);
  RECORD_FUNCTION("brume::group_norm", std::vector<c10::IValue>({input.maps.first}));
  if (input.maps.first.is_cuda()) return gpu::group_norm(input, weight, bias, settings);
  if (cpu::has_kernels(input.maps.first))
    return group_norm_cpu(cpu::machine(), input, weight, bias, settings);
  return reference(input, weight, bias, settings);
}

}  // namespace brume::kernels
