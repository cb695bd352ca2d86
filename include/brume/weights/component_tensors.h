#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "brume/weights/safetensors.h"

namespace brume {

/// kSwapped: a matrix whose file holds the transpose.
enum class Axes { kAsStored, kSwapped };

/// Where a tensor's values lie: all of a stored tensor or a part of it, seen in a shape of its own.
struct TensorPlace {
  const StoredTensor* stored = nullptr;
  std::vector<uint64_t> shape;  // of the tensor that a layer gets
  uint64_t first = 0;           // values of the stored tensor that come before
  Axes axes = Axes::kAsStored;
};

/// All of a tensor, as it is.
inline TensorPlace whole(const StoredTensor& stored) { return {&stored, stored.shape, 0, Axes::kAsStored}; }

/// The tensors of one component by the names that layers ask for: diffusers' and transformers'.
using ComponentTensors = std::map<std::string, TensorPlace>;

}  // namespace brume
