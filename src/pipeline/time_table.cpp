#include "brume/pipeline/time_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <stdexcept>

#include "brume/pipeline/pipeline.h"

namespace brume {

namespace {

/// Timesteps in a part: enough for most walks, and of a long one not all in memory.
constexpr int64_t kPart = 64;

}  // namespace

at::Tensor TimeTable::at(double timestep, const Pipeline& pipeline, const PreparedWords& words) {
  const auto found = std::find(timesteps_.begin(), timesteps_.end(), timestep);
  if (found == timesteps_.end()) throw std::logic_error("a timestep that is not of this walk");
  const auto place = static_cast<int64_t>(found - timesteps_.begin());
  if (!rows_.defined() || part_ != place / kPart) {
    part_ = place / kPart;
    const auto first = timesteps_.begin() + part_ * kPart;
    const auto last =
        timesteps_.begin() + std::min<int64_t>((part_ + 1) * kPart, static_cast<int64_t>(timesteps_.size()));
    rows_ = pipeline.times({first, last}, words);
  }
  return rows_[place % kPart];
}

}  // namespace brume
