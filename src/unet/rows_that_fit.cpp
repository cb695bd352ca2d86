#include "brume/unet/rows_that_fit.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace brume {

namespace {

PreparedWords rows_of(const PreparedWords& words, int64_t first, int64_t count) {
  PreparedWords rows;
  rows.keys_values.reserve(words.keys_values.size());
  for (const at::Tensor& all : words.keys_values) rows.keys_values.push_back(all.narrow(0, first, count));
  if (words.changes.empty()) return rows;
  const auto begin = words.changes.begin() + static_cast<std::ptrdiff_t>(first);
  rows.changes.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
  return rows;
}

}  // namespace

RowsThatFit::RowsThatFit(const UNet& unet, const kernels::gpu::Gpu& gpu, at::ScalarType dtype)
    : gpu_(gpu), graphs_(unet, gpu, dtype) {}

PredictedRows RowsThatFit::operator()(const at::Tensor& latents, const at::Tensor& times,
                                      const PreparedWords& words) {
  const int64_t rows = latents.size(0);
  const int64_t area = latents.size(2) * latents.size(3);
  int64_t count = rows_at_a_time(rows, area);
  std::vector<at::Tensor> parts;
  bool tried_again = false;
  for (int64_t first = 0; first < rows;) {
    count = std::min(count, rows - first);
    try {
      parts.push_back(count == rows ? graphs_(latents, times, words)
                                    : graphs_(latents.narrow(0, first, count), times.narrow(0, first, count),
                                              rows_of(words, first, count)));
      first += count;
    } catch (const c10::OutOfMemoryError&) {
      // Once more where it may help; another thread may have had the memory, too.
      if (make_room() || !std::exchange(tried_again, true)) continue;
      if (count == 1) throw;
      take_fewer_than(count, area);
      count = rows_at_a_time(rows - first, area);
    }
  }
  if (parts.size() == 1) return {parts.front(), false};
  try {
    return {at::cat(parts), true};
  } catch (const c10::OutOfMemoryError&) {
    make_room();
  }
  return {at::cat(parts), true};
}

bool RowsThatFit::make_room() {
  const bool dropped = graphs_.drop();
  gpu_.give_back();
  return dropped;
}

/// Parts of one size: the graphs of two would take as much memory as the whole.
int64_t RowsThatFit::rows_at_a_time(int64_t rows, int64_t area) const {
  int64_t count = std::clamp<int64_t>(most_area_ / area, 1, rows);
  while (rows % count != 0) --count;
  return count;
}

void RowsThatFit::take_fewer_than(int64_t rows, int64_t area) {
  const int64_t fewer = (rows + 1) / 2 * area;
  int64_t most = most_area_;
  while (fewer < most && !most_area_.compare_exchange_weak(most, fewer)) {
  }
}

}  // namespace brume
