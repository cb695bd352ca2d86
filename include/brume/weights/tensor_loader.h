#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace brume {

/// Fills `out` with stored bytes, from byte `first` of the tensor on. May be called from several threads.
using PartReader = std::function<void(uint64_t first, std::span<std::byte> out)>;

/// Brings tensors to where a network computes.
class TensorLoader {
 public:
  virtual ~TensorLoader() = default;
  /// A new contiguous tensor there, of this shape and type, whose little-endian bytes in C order are what
  /// `read` gives. They may still be on their way when this returns: whatever the caller's thread does with
  /// the tensor comes after them. Throws what `read` throws, the first of these by its place.
  virtual at::Tensor load(at::IntArrayRef shape, at::ScalarType type, const PartReader& read) = 0;
};

}  // namespace brume
