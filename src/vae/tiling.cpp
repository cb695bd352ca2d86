#include "brume/vae/tiling.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace brume {

namespace {

/// `tile` with its first `extent` rows (dimension 2) or columns (3) blended from the last ones of `before`.
void blend(const at::Tensor& before, at::Tensor& tile, int64_t dim, int64_t extent) {
  extent = std::min({before.size(dim), tile.size(dim), extent});
  if (extent == 0) return;
  std::vector<int64_t> along(4, 1);
  along[static_cast<size_t>(dim)] = extent;
  const at::Tensor weight = (at::arange(extent, tile.options()) / extent).view(along);
  at::Tensor edge = tile.narrow(dim, 0, extent);
  edge.copy_(before.narrow(dim, before.size(dim) - extent, extent) * (1 - weight) + edge * weight);
}

}  // namespace

at::Tensor by_tiles(const at::Tensor& x, const Tiling& tiling,
                    const std::function<at::Tensor(const at::Tensor&)>& map) {
  const int64_t stride = std::max<int64_t>(tiling.from * 3 / 4, 1);
  const int64_t overlap = tiling.to / 4;
  const int64_t kept = tiling.to - overlap;
  std::vector<at::Tensor> above;  // the row of tiles above, already blended
  std::vector<at::Tensor> rows;
  for (int64_t top = 0; top < x.size(2); top += stride) {
    std::vector<at::Tensor> row;
    std::vector<at::Tensor> cropped;
    for (int64_t left = 0; left < x.size(3); left += stride) {
      at::Tensor tile = map(x.narrow(2, top, std::min(tiling.from, x.size(2) - top))
                                .narrow(3, left, std::min(tiling.from, x.size(3) - left)));
      if (top > 0) blend(above[row.size()], tile, 2, overlap);
      if (left > 0) blend(row.back(), tile, 3, overlap);
      cropped.push_back(
          tile.narrow(2, 0, std::min(kept, tile.size(2))).narrow(3, 0, std::min(kept, tile.size(3))));
      row.push_back(std::move(tile));
    }
    rows.push_back(at::cat(cropped, 3));
    above = std::move(row);
  }
  return at::cat(rows, 2);
}

}  // namespace brume
