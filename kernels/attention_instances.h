#pragma once
#include "kernels/attention_kernel.h"
#include "kernels/attention_plan.h"

// The kernels that are compiled: what attention_plan.cpp chooses from, and what the tests run.
namespace brume::kernels {

/// Calls visit.template operator()<Kernel>() with the kernel of a plan; false if there is none.
template <class T, class Visit>
bool visit_attention(const AttentionPlan& plan, const Visit& visit) {
  const auto streamed = [&]<int kHeadDim, int kRowTiles, int kKeys, int kBlocks>() {
    if (plan.kind != AttentionKind::kStreamed || plan.head_dim != kHeadDim || plan.row_tiles != kRowTiles ||
        plan.tile_keys != kKeys)
      return false;
    visit.template operator()<StreamedAttention<AttentionTile<T, kHeadDim, kRowTiles, kKeys, kBlocks>>>();
    return true;
  };
  const auto resident = [&]<int kHeadDim, int kKeys, int kBlocks>() {
    if (plan.kind != AttentionKind::kResident || plan.head_dim != kHeadDim || plan.tile_keys != kKeys)
      return false;
    visit.template operator()<ResidentAttention<AttentionTile<T, kHeadDim, 1, kKeys, kBlocks>>>();
    return true;
  };
  return streamed.template operator()<40, 2, 64, 2>() || streamed.template operator()<40, 1, 64, 4>() ||
         streamed.template operator()<64, 2, 64, 2>() || streamed.template operator()<64, 1, 64, 3>() ||
         streamed.template operator()<80, 2, 64, 2>() || streamed.template operator()<80, 1, 64, 3>() ||
         streamed.template operator()<128, 1, 64, 2>() || streamed.template operator()<160, 1, 48, 2>() ||
         resident.template operator()<40, 80, 4>() || resident.template operator()<40, 160, 3>() ||
         resident.template operator()<40, 240, 2>() || resident.template operator()<64, 80, 3>() ||
         resident.template operator()<64, 160, 3>() || resident.template operator()<64, 240, 2>() ||
         resident.template operator()<80, 80, 3>() || resident.template operator()<80, 160, 2>() ||
         resident.template operator()<80, 240, 2>() || resident.template operator()<128, 80, 2>() ||
         resident.template operator()<160, 80, 2>();
}

}  // namespace brume::kernels
