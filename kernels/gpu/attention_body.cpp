#include "kernels/gpu/attention_body.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "kernels/attention_hopper_launch.h"
#include "kernels/attention_launch.h"
#include "kernels/attention_wide_launch.h"
#include "kernels/gpu/attention_choice.h"
#include "kernels/gpu/call.h"

namespace brume::kernels::gpu::bodies {

namespace {

TokenStrides strides_of(const at::Tensor& x) { return {x.stride(0), x.stride(1), x.stride(2)}; }

AttentionShape shape_of(const at::Tensor& q, const at::Tensor& k) {
  return {static_cast<int32_t>(q.size(0)), static_cast<int32_t>(q.size(2)), static_cast<int32_t>(q.size(1)),
          static_cast<int32_t>(k.size(1)), static_cast<int32_t>(q.size(3))};
}

AttentionParams params_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor& out) {
  constexpr double kLog2E = 1.4426950408889634;
  const int64_t head_dim = q.size(3);
  return {.q = q.const_data_ptr(),
          .k = k.const_data_ptr(),
          .v = v.const_data_ptr(),
          .out = out.mutable_data_ptr(),
          .q_strides = strides_of(q),
          .k_strides = strides_of(k),
          .v_strides = strides_of(v),
          .out_strides = {out.stride(0), out.stride(1), head_dim},
          .queries = static_cast<int32_t>(q.size(1)),
          .keys = static_cast<int32_t>(k.size(1)),
          .scale_log2 = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(head_dim)))};
}

/// Whether a kernel of ours did it.
bool launched(const AttentionParams& params, const AttentionShape& shape, Element element) {
  const Device device = current_device();
  if (const auto hopper = plan_attention_hopper(shape, device.limits, {device.major, device.minor})) {
    // The driver refuses a tensor map, which the other kernels do without.
    const int error = launch_attention_hopper(params, shape, *hopper, element, current_stream());
    if (error != cudaErrorInvalidValue) {
      check(error, "attention");
      return true;
    }
  }
  const std::optional<AttentionPlan> plan = plan_attention(shape, device.limits);
  if (!plan) return false;
  check(launch_attention(params, shape, *plan, element, current_stream()), "attention");
  return true;
}

/// [N, heads, T, head_dim] -> [N, T, heads * head_dim]
at::Tensor joined_heads(const at::Tensor& heads) { return heads.transpose(1, 2).flatten(2); }

at::Tensor by_cudnn(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return joined_heads(std::get<0>(
      at::_scaled_dot_product_cudnn_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                              /*attn_bias=*/{}, /*compute_log_sumexp=*/false)));
}

/// Whether it is worth asking who is faster: few keys, which lie on chip, are ours in any case.
bool is_contested(const AttentionShape& shape) {
  constexpr int32_t kFewKeys = 256;
  return shape.keys > kFewKeys;
}

/// One head of an autoencoder, too wide for registers.
bool is_wide(const AttentionShape& shape) {
  constexpr int32_t kWide = 256;
  return shape.heads == 1 && shape.head_dim >= kWide;
}

void launch_wide(const AttentionParams& params, const AttentionShape& shape, const at::Tensor& like) {
  const WideShape wide{shape.batch, shape.queries, shape.keys, shape.head_dim};
  const at::Tensor workspace =
      at::empty({static_cast<int64_t>(wide_workspace_bytes(wide))}, like.options().dtype(at::kByte));
  check(launch_wide_attention(params, wide, workspace.mutable_data_ptr(), element_of(like),
                              at::cuda::getCurrentCUDABlasHandle()),
        "attention of one wide head");
}

at::Tensor by_libtorch(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  return joined_heads(at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2),
                                                       v.transpose(1, 2),
                                                       /*attn_mask=*/{}, /*dropout_p=*/0.0, causal));
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  const c10::cuda::CUDAGuard on_device(q.device());
  if (causal || !is_half(q)) return by_libtorch(q, k, v, causal);
  at::Tensor out = at::empty({q.size(0), q.size(1), q.size(2) * q.size(3)}, q.options());
  const AttentionShape shape = shape_of(q, k);
  const AttentionParams params = params_of(q, k, v, out);
  if (!attention_is_aligned(params)) return by_libtorch(q, k, v, causal);
  if (is_wide(shape)) {
    launch_wide(params, shape, q);
    return out;
  }
  const Element element = element_of(q);
  if (is_contested(shape)) {
    const AttentionProblem problem{q.scalar_type(), q.size(0), q.size(2), q.size(1), k.size(1), q.size(3)};
    const auto ours = [&] {
      if (!launched(params, shape, element)) throw std::invalid_argument("no kernel of ours takes it");
    };
    const AttentionBy by = attention_by(q.device().index(), problem, ours, [&] { by_cudnn(q, k, v); });
    if (by == AttentionBy::kCudnn) return by_cudnn(q, k, v);
  }
  return launched(params, shape, element) ? out : by_libtorch(q, k, v, causal);
}

}  // namespace brume::kernels::gpu::bodies
