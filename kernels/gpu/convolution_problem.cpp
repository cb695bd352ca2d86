#include "kernels/gpu/convolution_problem.h"

#include <ATen/ops/empty.h>

#include <stdexcept>

#include "kernels/gpu/tuning.h"

namespace brume::kernels::gpu {

namespace {

void require(bool met, const char* what) {
  if (!met) throw std::runtime_error(std::string("convolution: ") + what);
}

bool is_like(const at::Tensor& tensor, const at::Tensor& x) {
  return tensor.scalar_type() == x.scalar_type() && tensor.device() == x.device();
}

void check_operands(const ConvolutionOperands& operands) {
  const auto& [x, weight, bias, residual] = operands;
  require(x.dim() == 4 && weight.dim() == 4, "x and weight must have four dimensions");
  require(x.is_cuda(), "x must be on a GPU");
  require(x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16, "x must be fp16 or bf16");
  require(is_like(weight, x), "weight must be of x's type, on its GPU");
  require(weight.size(1) == x.size(1), "x and weight must have the same channels");
  if (bias) {
    require(is_like(*bias, x), "bias must be of x's type, on its GPU");
    require(bias->dim() == 1 && bias->size(0) == weight.size(0), "bias must have an element for each filter");
  }
  if (residual) require(is_like(*residual, x), "residual must be of x's type, on its GPU");
}

std::string square(int64_t height, int64_t width) {
  return std::to_string(height) + "x" + std::to_string(width);
}

}  // namespace

ConvolutionProblem convolution_problem(const ConvolutionOperands& operands,
                                       const ConvolutionOptions& options) {
  check_operands(operands);
  const auto& [x, weight, bias, residual] = operands;
  const ConvolutionProblem problem{
      .dtype = x.scalar_type(),
      .batch = x.size(0),
      .channels = x.size(1),
      .height = x.size(2),
      .width = x.size(3),
      .filters = weight.size(0),
      .kernel_height = weight.size(2),
      .kernel_width = weight.size(3),
      .stride = options.stride,
      .padding = options.padding,
      .epilogue = {bias.has_value(), residual.has_value(), options.activation == Activation::kRelu}};
  require(problem.stride > 0 && problem.padding >= 0, "stride must be positive, padding not negative");
  require(problem.height + 2 * problem.padding >= problem.kernel_height &&
              problem.width + 2 * problem.padding >= problem.kernel_width,
          "the kernel must fit the padded map");
  require(!residual || residual->sizes() == at::IntArrayRef({problem.batch, problem.filters,
                                                             problem.out_height(), problem.out_width()}),
          "residual must have the result's sizes");
  return problem;
}

std::string ConvolutionProblem::text() const {
  return "convolution " + name_of(dtype) + " " + std::to_string(batch) + "x" + std::to_string(channels) +
         "x" + square(height, width) + " " + std::to_string(filters) + "x" +
         square(kernel_height, kernel_width) + " stride " + std::to_string(stride) + " padding " +
         std::to_string(padding) + (epilogue.has_bias ? " bias" : "") +
         (epilogue.has_residual ? " residual" : "") + (epilogue.has_relu ? " relu" : "");
}

ConvolutionOperands laid_out(const ConvolutionOperands& operands) {
  constexpr auto kLayout = at::MemoryFormat::ChannelsLast;
  ConvolutionOperands tight{operands.x.contiguous(kLayout), operands.weight.contiguous(kLayout), std::nullopt,
                            std::nullopt};
  if (operands.bias) tight.bias = operands.bias->contiguous();
  if (operands.residual) tight.residual = operands.residual->contiguous(kLayout);
  return tight;
}

at::Tensor empty_result(const ConvolutionProblem& problem, const at::Tensor& x) {
  return at::empty({problem.batch, problem.filters, problem.out_height(), problem.out_width()}, x.options(),
                   at::MemoryFormat::ChannelsLast);
}

}  // namespace brume::kernels::gpu
