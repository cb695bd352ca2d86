#pragma once
#include "kernels/attention_hopper_kernel.h"
#include "kernels/attention_hopper_plan.h"

// The Hopper kernels that are compiled: what attention_hopper_plan.cpp chooses from, and what the tests run.
namespace brume::kernels {

/// Calls visit.template operator()<Tile>() with the tile of a plan; false if there is none.
template <class T, class Visit>
bool visit_attention_hopper(const HopperAttentionPlan& plan, const Visit& visit) {
  const auto kernel = [&]<int kHeadDim, int kPanelColumns>() {
    if (plan.head_dim != kHeadDim || plan.panel_columns != kPanelColumns) return false;
    visit.template operator()<HopperTile<T, kHeadDim, kPanelColumns>>();
    return true;
  };
  return kernel.template operator()<40, 64>() || kernel.template operator()<64, 64>() ||
         kernel.template operator()<80, 16>() || kernel.template operator()<128, 64>() ||
         kernel.template operator()<160, 32>();
}

/// The boxes of 128 rows and a panel's columns of one of the tensors.
template <class Tile>
device::TensorTile describe_rows(const void* base, const TokenStrides& strides, const AttentionShape& shape,
                                 int32_t rows) {
  constexpr int64_t kBytes = sizeof(typename Tile::Element);
  // The stride of a dimension of one element means nothing, but the driver would check it. It gets that of
  // the next one, the outermost what it steps over.
  int64_t picture = shape.head_dim * kBytes;
  if (shape.heads > 1) picture = strides.head * kBytes * shape.heads;
  if (rows > 1) picture = strides.token * kBytes * rows;
  if (shape.batch > 1) picture = strides.picture * kBytes;
  const int64_t token = rows > 1 ? strides.token * kBytes : picture;
  const int64_t head = shape.heads > 1 ? strides.head * kBytes : token;
  return {base,
          {shape.head_dim, shape.heads, rows, shape.batch},
          {head, token, picture},
          Tile::kPanelColumns,
          Tile::kKeys,
          Tile::kSwizzle};
}

/// The kernel's parameters; encode(TensorTile) makes a TensorMap.
template <class Tile, class Encode>
HopperAttentionParams hopper_params(const AttentionParams& params, const AttentionShape& shape,
                                    const Encode& encode) {
  return {encode(describe_rows<Tile>(params.q, params.q_strides, shape, params.queries)),
          encode(describe_rows<Tile>(params.k, params.k_strides, shape, params.keys)),
          encode(describe_rows<Tile>(params.v, params.v_strides, shape, params.keys)),
          params.out,
          params.out_strides,
          params.queries,
          params.keys,
          params.scale_log2};
}

}  // namespace brume::kernels
