#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "brume/unet/unet.h"

namespace brume {

class Pipeline;

/// What the UNet reads of the time beside some words, made for many calls of a walk at once: it hangs on
/// nothing that the walk finds out on its way.
class TimeTable {
 public:
  TimeTable() = default;
  /// `timesteps`: those of a walk, in its order, each once.
  explicit TimeTable(std::vector<double> timesteps) : timesteps_(std::move(timesteps)) {}

  /// [N, columns] for words of N rows, the same in every call, where the walk is at one of its timesteps.
  at::Tensor at(double timestep, const Pipeline& pipeline, const PreparedWords& words);

 private:
  std::vector<double> timesteps_;
  int64_t part_ = 0;  // of the timesteps, whose rows are there
  at::Tensor rows_;   // [timesteps of the part, N, columns]
};

}  // namespace brume
