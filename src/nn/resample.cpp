#include "brume/nn/resample.h"

#include <ATen/ATen.h>

#include <array>
#include <optional>
#include <vector>

namespace brume::nn {

namespace {

/// The two taps of either parity along `dim`, from its three: an even pixel of a doubled map stands before
/// its twin, and its first tap alone meets the pixel before; an odd one's last tap alone meets the pixel
/// after.
std::array<at::Tensor, 2> pairs_of_taps(const at::Tensor& taps, int64_t dim) {
  const std::vector<at::Tensor> tap = taps.split(1, dim);
  return {at::cat({tap[0], tap[1] + tap[2]}, dim), at::cat({tap[0] + tap[1], tap[2]}, dim)};
}

constexpr kernels::PackedConvolution::Shape kPadded{.stride = 1, .padding = 1};

std::vector<kernels::PackedConvolution> parities(const at::Tensor& weight,
                                                 const std::optional<at::Tensor>& bias,
                                                 const HostCopy& host_copy) {
  std::vector<kernels::PackedConvolution> each;
  for (const at::Tensor& rows : pairs_of_taps(weight.to(at::kFloat), 2)) {
    for (const at::Tensor& both : pairs_of_taps(rows, 3))
      each.emplace_back(both.to(weight.scalar_type()), bias, kPadded, host_copy);
  }
  return each;
}

}  // namespace

Downsample::Downsample(const WeightsView& weights, int64_t channels, int64_t padding)
    : padding_(padding), conv_(weights / "conv", {channels, channels, /*kernel=*/3, /*stride=*/2, padding}) {}

at::Tensor Downsample::operator()(const at::Tensor& x) const {
  return padding_ == 0 ? conv_(at::constant_pad_nd(x, {0, 1, 0, 1})) : conv_(x);
}

Upsample::Upsample(const WeightsView& conv, int64_t channels, Bias bias)
    : Upsample(conv.tensor("weight", {channels, channels, 3, 3}),
               bias == Bias::kYes ? std::optional(conv.tensor("bias", {channels})) : std::nullopt,
               conv.host_copy()) {}

Upsample::Upsample(const at::Tensor& weight, const std::optional<at::Tensor>& bias, const HostCopy& host_copy)
    : conv_(weight, bias, kPadded, host_copy) {
  // A GPU has the work to spare: one convolution there is faster than four.
  if (!weight.is_cuda()) parities_ = parities(weight, bias, host_copy);
}

at::Tensor Upsample::operator()(const at::Tensor& x, int64_t height, int64_t width) const {
  if (!parities_.empty() && height == 2 * x.size(2) && width == 2 * x.size(3)) return doubled(x);
  return conv_(at::upsample_nearest2d(x, {height, width}));
}

at::Tensor Upsample::doubled(const at::Tensor& x) const {
  const int64_t height = x.size(2);
  const int64_t width = x.size(3);
  at::Tensor out =
      at::empty({x.size(0), x.size(1), 2 * height, 2 * width}, x.options(), at::MemoryFormat::ChannelsLast);
  for (const int64_t row : {0, 1}) {
    for (const int64_t column : {0, 1}) {
      const at::Tensor part = parities_[static_cast<size_t>(2 * row + column)](x);  // [N, C, h + 1, w + 1]
      out.slice(2, row, {}, 2)
          .slice(3, column, {}, 2)
          .copy_(part.narrow(2, row, height).narrow(3, column, width));
    }
  }
  return out;  // [N, C, 2 h, 2 w]
}

}  // namespace brume::nn
