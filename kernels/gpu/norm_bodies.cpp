#include "kernels/gpu/norm_bodies.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/gpu/call.h"
#include "kernels/group_norm_launch.h"
#include "kernels/group_norm_plan.h"
#include "kernels/small_launch.h"
#include "kernels/small_plan.h"

namespace brume::kernels::gpu::bodies {

namespace {

/// Where the blocks of a group norm meet, one for each stream of each device: launches of one stream follow
/// each other. Recorded graphs name the memory, so what was given out once is kept.
class Meetings {
 public:
  void* of(CUstream_st* stream, const at::Tensor& like, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    std::vector<at::Tensor>& given = given_[{like.device().index(), stream}];
    if (given.empty() || given.back().numel() < bytes) {
      constexpr int64_t kLeast = int64_t{1} << 20;
      given.push_back(at::zeros({std::max(2 * bytes, kLeast)}, like.options().dtype(at::kByte)));
    }
    return given.back().mutable_data_ptr();
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<int, CUstream_st*>, std::vector<at::Tensor>> given_;
};

/// Never freed: at the end of the program the GPU's own library is gone before it.
Meetings& meetings() {
  static auto* const all = new Meetings();
  return *all;
}

GroupNormPart part_of(const at::Tensor& map) {
  const int64_t channels = map.size(1);
  return {map.const_data_ptr(), static_cast<int>(channels), channels, map.size(2) * map.size(3) * channels};
}

Rows rows_of(const at::Tensor& x) { return {x.const_data_ptr(), x.size(-1)}; }

}  // namespace

at::Tensor group_norm(const at::Tensor& first, const std::optional<at::Tensor>& second,
                      const std::optional<at::Tensor>& embedding, const at::Tensor& weight,
                      const at::Tensor& bias, int64_t groups, double eps, bool silu) {
  const c10::cuda::CUDAGuard on_device(first.device());
  const at::Tensor a = first.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor b = second ? second->contiguous(at::MemoryFormat::ChannelsLast) : at::Tensor();
  // Rows of a wider tensor are as good.
  const at::Tensor added = !embedding                  ? at::Tensor()
                           : embedding->stride(1) == 1 ? *embedding
                                                       : embedding->contiguous();
  const int64_t channels = a.size(1) + (second ? b.size(1) : 0);
  at::Tensor y =
      at::empty({a.size(0), channels, a.size(2), a.size(3)}, a.options(), at::MemoryFormat::ChannelsLast);
  const int64_t pixels = a.size(2) * a.size(3);
  GroupNormParams params{};
  params.shape = {static_cast<int>(a.size(0)), static_cast<int>(pixels), static_cast<int>(channels),
                  static_cast<int>(groups)};
  params.parts[0] = part_of(a);
  if (second) params.parts[1] = part_of(b);
  if (embedding) {
    params.embedding = added.const_data_ptr();
    params.embedding_stride = added.stride(0);
  }
  params.weight = weight.const_data_ptr();
  params.bias = bias.const_data_ptr();
  params.y = y.mutable_data_ptr();
  params.y_pixel_stride = channels;
  params.y_picture_stride = pixels * channels;
  params.eps = static_cast<float>(eps);
  params.activation = silu ? NormActivation::kSilu : NormActivation::kNone;

  const Device device = current_device();
  const Element element = element_of(a);
  const int bytes = bytes_of(element);
  const GroupNormPlan plan =
      plan_group_norm(params.shape, group_norm_access(params, bytes), bytes,
                      {device.limits.multiprocessors, device.limits.shared_bytes_a_block, device.l2_bytes});
  if (plan.chunks == 0) return y;
  CUstream_st* const stream = current_stream();
  params.workspace = meetings().of(stream, a, group_norm_workspace_bytes(params.shape, plan));
  check(launch_group_norm(params, plan, element, stream), "group norm");
  return y;
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  const c10::cuda::CUDAGuard on_device(x.device());
  const at::Tensor input = x.contiguous();
  at::Tensor y = at::empty_like(input);
  const int64_t width = input.size(-1);
  if (input.numel() == 0) return y;
  const LayerNormParams params{.rows = static_cast<int>(input.numel() / width),
                               .width = static_cast<int>(width),
                               .x = rows_of(input),
                               .residual = {nullptr, width},
                               .sum = {nullptr, width},
                               .y = {y.mutable_data_ptr(), width},
                               .weight = weight.const_data_ptr(),
                               .bias = bias.const_data_ptr(),
                               .eps = static_cast<float>(eps)};
  const Element element = element_of(input);
  if (!layer_norm_fits(params, bytes_of(element)))
    return at::layer_norm(input, weight.sizes(), weight, bias, eps);
  check(launch_layer_norm(params, element, current_stream()), "layer norm");
  return y;
}

}  // namespace brume::kernels::gpu::bodies
