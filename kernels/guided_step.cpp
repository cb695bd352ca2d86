#include "kernels/guided_step.h"

#include <ATen/ATen.h>

#include <sstream>
#include <stdexcept>
#include <vector>

#include "kernels/small_params.h"

namespace brume::kernels {

namespace {

constexpr int64_t kFactors = sizeof(StepFactors) / sizeof(float);

/// Whether an optional tensor is absent, or like `other` in shape and of dtype `type`.
bool absent_or_like(const at::Tensor& tensor, const at::Tensor& other, at::ScalarType type) {
  return !tensor.defined() || (tensor.sizes() == other.sizes() && tensor.scalar_type() == type);
}

void check_tensors(const GuidedStepTensors& tensors) {
  const auto& [latents, negative, positive, noise] = tensors;
  const at::ScalarType type = positive.scalar_type();
  const bool fits = latents.scalar_type() == at::kFloat && positive.sizes() == latents.sizes() &&
                    (type == at::kFloat || type == at::kHalf || type == at::kBFloat16) &&
                    absent_or_like(negative, positive, type) && absent_or_like(noise, latents, at::kFloat);
  if (fits) return;
  std::ostringstream text;
  text << "guided_step: latents and noise in fp32, negative and positive of one dtype, all of one shape "
          "expected, got latents "
       << latents.sizes() << " " << latents.scalar_type() << ", positive " << positive.sizes() << " " << type;
  if (negative.defined()) text << ", negative " << negative.sizes() << " " << negative.scalar_type();
  if (noise.defined()) text << ", noise " << noise.sizes() << " " << noise.scalar_type();
  throw std::invalid_argument(text.str());
}

void check_factors(const at::Tensor& table, const at::Tensor& step) {
  const bool fits = table.dim() == 2 && table.size(1) == kFactors && table.scalar_type() == at::kFloat &&
                    step.sizes() == at::IntArrayRef{1} && step.scalar_type() == at::kInt;
  if (fits) return;
  std::ostringstream text;
  text << "guided_step: table [steps, " << kFactors << "] fp32 and step [1] int32 expected, got "
       << table.sizes() << " " << table.scalar_type() << ", " << step.sizes() << " " << step.scalar_type();
  throw std::invalid_argument(text.str());
}

}  // namespace

at::Tensor guided_step(const GuidedStepTensors& tensors, const at::Tensor& table, const at::Tensor& step) {
  check_tensors(tensors);
  check_factors(table, step);
  const auto& [latents, negative, positive, noise] = tensors;
  const std::vector<at::Tensor> factors = table.index_select(0, step)[0].unbind();  // as StepFactors
  at::Tensor prediction = positive.to(at::kFloat);
  if (negative.defined()) {
    const at::Tensor without = negative.to(at::kFloat);
    prediction = without + factors[3] * (prediction - without);
  }
  at::Tensor next = factors[0] * latents + factors[1] * prediction;
  return noise.defined() ? next + factors[2] * noise : next;
}

}  // namespace brume::kernels
